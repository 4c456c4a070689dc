import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { ManualClock } from "../base/clock.ts";
import { makeBench, until, type BenchOptions } from "./tool-bench.test-support.ts";
import type { ResolvedAddress } from "./checked-address.ts";
import { FETCH_MAX_MS } from "./web-fetch.ts";

const HOME: ResolvedAddress = { address: "127.0.0.1", family: 4 };

/** A server on this machine that the settings allow under the name `site.test`. */
async function setup(t: TestContext, answer: RequestListener, options: BenchOptions & { hosts?: Record<string, readonly ResolvedAddress[]> } = {}) {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const looked: string[] = [];
  const hosts: Record<string, readonly ResolvedAddress[]> = { "site.test": [HOME], ...options.hosts };
  const resolve = async (host: string): Promise<readonly ResolvedAddress[]> => {
    looked.push(host);
    return hosts[host] ?? [];
  };
  const bench = makeBench(t, { resolve, settings: { "tools.web.allowPrivate": [`site.test:${port}`] }, ...options });
  const fetch = (url: string, maxBytes?: number, signal?: AbortSignal) => bench.call("web_fetch", { url, ...(maxBytes && { maxBytes }) }, signal && { signal });
  return { port, looked, hosts, fetch, base: `http://site.test:${port}` };
}

const nothing: RequestListener = (_request, response) => response.end("reached");

test("a page comes as text with its title; other text comes as it is", async (t) => {
  const { fetch, base } = await setup(t, (request, response) => {
    if (request.url === "/json") return response.setHeader("content-type", "application/json").end('{"a": 1}');
    response.setHeader("content-type", "text/html; charset=utf-8").end("<title>The &amp; title</title><script>no()</script><p>Hello <b>you</b>");
  });
  assert.equal((await fetch(base)).text, `${base}/\n200 OK text/html; charset=utf-8\nThe & title\n\nHello you`);
  assert.equal((await fetch(`${base}/json`)).text, `${base}/json\n200 OK application/json\n\n{"a": 1}`);
});

test("an address inside is refused however it is written, before anything is connected", async (t) => {
  let requests = 0;
  const { fetch, port } = await setup(t, (_request, response) => void (requests++, response.end()));
  const hosts = [
    "127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "127.0.0.1.", "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:7f00:1]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fd00::1]", "[fd00:ec2::254]", "169.254.169.254", "0xa9fea9fe", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "224.0.0.1", "255.255.255.255", "１２７.０.０.１", "127。0。0。1",
  ];
  for (const host of hosts) {
    const { text, isError } = await fetch(`http://${host}:${port}/`);
    assert.match(text, /is not in the public internet/, host);
    assert.ok(isError);
  }
  assert.equal(requests, 0);
});

test("a name that leads inside is refused, also when only one of its addresses does", async (t) => {
  const hosts = { "inside.test": [HOME], "mixed.test": [{ address: "93.184.216.34", family: 4 }, HOME], "mapped.test": [{ address: "::ffff:169.254.169.254", family: 6 }], "none.test": [] };
  const { fetch, port } = await setup(t, nothing, { hosts });
  for (const host of ["inside.test", "mixed.test", "mapped.test"]) assert.match((await fetch(`http://${host}:${port}`)).text, /is not in the public internet/, host);
  assert.match((await fetch("http://none.test")).text, /the host has no address/);
});

test("the real resolver's localhost is refused too", async (t) => {
  const { call } = makeBench(t);
  for (const url of ["http://localhost:1/", "http://localhost.:1/"]) assert.match((await call("web_fetch", { url })).text, /is not in the public internet|no such host/);
});

test("a permission is for one host and port exactly", async (t) => {
  const { fetch, port, base } = await setup(t, nothing);
  assert.match((await fetch(base)).text, /reached/);
  assert.match((await fetch(`http://127.0.0.1:${port}`)).text, /is not in the public internet/);
  assert.match((await fetch("http://site.test:1")).text, /a person can allow "site.test:1" in tools.web.allowPrivate/);
});

test("a redirect is checked as the first address was", async (t) => {
  const targets = ["http://169.254.169.254/latest/meta-data", "http://[::ffff:a9fe:a9fe]/", "//metadata.test/", "http://127.0.0.1:1/", "file:///etc/passwd", "gopher://site.test/", "http://user:pass@site.test/", "http://"];
  const { fetch, base } = await setup(t, (request, response) => response.writeHead(302, { location: targets[Number(request.url!.slice(1))] }).end(), { hosts: { "metadata.test": [{ address: "169.254.169.254", family: 4 }] } });
  for (const [index, target] of targets.entries()) {
    const { text, isError } = await fetch(`${base}/${index}`);
    assert.ok(isError, target);
    assert.match(text, /not in the public internet|only http and https|holds credentials|is not a web address/, target);
  }
});

test("redirects are followed, but not for ever", async (t) => {
  const seen: string[] = [];
  const { fetch, base } = await setup(t, (request, response) => {
    seen.push(request.url!);
    if (request.url === "/three") return response.end("there");
    response.writeHead(307, { location: request.url === "/loop" ? "/loop" : `/${{ "/one": "two", "/two": "three" }[request.url!]}` }).end();
  });
  assert.match((await fetch(`${base}/one`)).text, new RegExp(`^${base}/three\n200 OK\n\nthere$`));
  assert.match((await fetch(`${base}/loop`)).text, /redirects more than 5 times/);
  assert.equal(seen.filter((path) => path === "/loop").length, 6);
});

test("a host is looked up once and the connection pinned, so a name that changes its mind gains nothing", async (t) => {
  const { fetch, looked, hosts, base } = await setup(t, nothing);
  const fetching = fetch(base);
  hosts["site.test"] = [{ address: "169.254.169.254", family: 4 }];
  assert.match((await fetching).text, /reached/);
  assert.deepEqual(looked, ["site.test"]);
});

test("no credential goes out: none from the address, none of ours, no cookie", async (t) => {
  let headers: IncomingMessage["headers"] = {};
  const { fetch, base } = await setup(t, (request, response) => void ((headers = request.headers), response.end("ok")));
  await fetch(base);
  assert.deepEqual(Object.keys(headers).sort(), ["accept", "accept-encoding", "connection", "host", "user-agent"]);
  const refused = await fetch(base.replace("http://", "http://me:hunter2hunter2@"));
  assert.match(refused.text, /holds credentials/);
  assert.ok(!refused.text.includes("hunter2"));
});

test("only http and https are fetched", async (t) => {
  const { fetch } = await setup(t, nothing);
  for (const url of ["file:///etc/passwd", "ftp://site.test/", "data:text/plain,x", "javascript:1", "ws://site.test"]) assert.match((await fetch(url)).text, /only http and https are fetched/, url);
  for (const url of ["nonsense", "http://", "http://[::1", "http://a b/"]) assert.match((await fetch(url)).text, /is not a web address/, url);
});

test("a body is cut at its bound, after unpacking too, so a small answer cannot become a large one", async (t) => {
  const { fetch, base } = await setup(t, (request, response) => {
    response.setHeader("content-type", "text/plain");
    if (request.url === "/bomb") return response.setHeader("content-encoding", "gzip").end(gzipSync(Buffer.alloc(50_000_000, "x")));
    if (request.url === "/brotli") return response.setHeader("content-encoding", "br").end(brotliCompressSync("packed text"));
    if (request.url === "/odd") return response.setHeader("content-encoding", "zstd").end("x");
    const more = (): void => {
      while (response.write("y".repeat(65_536)));
    };
    response.on("drain", more);
    more();
  });
  const endless = await fetch(`${base}/endless`, 1000);
  assert.match(endless.text, /\n\ny{1000}\n\[cut after 1000 bytes\]$/);
  const bomb = await fetch(`${base}/bomb`);
  assert.match(bomb.text, /\[cut after 2097152 bytes\]$/);
  assert.match((await fetch(`${base}/brotli`)).text, /\n\npacked text$/);
  assert.match((await fetch(`${base}/odd`)).text, /packed as zstd/);
});

test("what is no text is refused, by its type or by its bytes", async (t) => {
  const { fetch, base } = await setup(t, (request, response) => {
    if (request.url === "/png") return response.setHeader("content-type", "image/png").end("x");
    response.setHeader("content-type", "text/plain").end("a\0b");
  });
  for (const path of ["/png", "/lie"]) {
    const { text, isError } = await fetch(base + path);
    assert.match(text, /is not text/);
    assert.ok(isError);
  }
});

test("an answer that says no is an error, with what the server said", async (t) => {
  const { fetch, base } = await setup(t, (_request, response) => response.writeHead(404, { "content-type": "text/plain" }).end("gone"));
  const { text, isError } = await fetch(base);
  assert.match(text, /\n404 Not Found text\/plain\n\ngone$/);
  assert.ok(isError);
});

test("other character sets are read as they say", async (t) => {
  const { fetch, base } = await setup(t, (_request, response) => response.setHeader("content-type", "text/plain; charset=iso-8859-1").end(Buffer.from([0x63, 0x61, 0x66, 0xe9])));
  assert.match((await fetch(base)).text, /\n\ncafé$/);
});

test("a server that never answers, or never ends, is left when the time is up or the turn is cancelled", async (t) => {
  const clock = new ManualClock();
  let requests = 0;
  const { fetch, base } = await setup(
    t,
    (request, response) => {
      requests++;
      if (request.url === "/slow-body") response.setHeader("content-type", "text/plain").write("begin");
    },
    { clock },
  );
  const waiting = [fetch(`${base}/silent`), fetch(`${base}/slow-body`)];
  await until(() => requests === 2);
  clock.advance(FETCH_MAX_MS);
  for (const one of waiting) assert.match((await one).text, /did not answer within 20 s/);

  const cancel = new AbortController();
  const cancelled = fetch(`${base}/silent`, undefined, cancel.signal);
  await until(() => requests === 3);
  cancel.abort(new Error("cancelled"));
  await assert.rejects(cancelled);
  assert.equal(clock.nextAt(), undefined);
});

test("a server that is not there is an answer in words", async (t) => {
  const { call } = makeBench(t, { resolve: async () => [HOME], settings: { "tools.web.allowPrivate": ["site.test:9"] } });
  assert.deepEqual(await call("web_fetch", { url: "http://site.test:9/" }), { text: "http://site.test:9/ cannot be fetched: nothing answers there", isError: true });
});
