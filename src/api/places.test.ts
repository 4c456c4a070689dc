import assert from "node:assert/strict";
import { test } from "node:test";
import type { Settings } from "../base/setting.ts";
import { ownUrl, Places } from "./places.ts";

const settings = { get: () => [] } as unknown as Settings;

test("what listens at every address is reached by programs on this machine, such as coding agents and the command line, at one that lets them in", () => {
  const urls = { "127.0.0.1": "http://127.0.0.1:9273", "0.0.0.0": "http://127.0.0.1:9273", "::": "http://[::1]:9273", "0:0:0:0:0:0:0:0": "http://[::1]:9273", "::1": "http://[::1]:9273", "192.0.2.7": "http://192.0.2.7:9273", localhost: "http://localhost:9273" };
  for (const [host, url] of Object.entries(urls)) {
    assert.equal(ownUrl(host, 9273), url);
    const places = new Places(settings);
    places.listensOn(host, 9273);
    places.check({ host: new URL(url).host });
  }
});
