/** Settings of traces: where they go, and whether words go along. */
import { isJsonObject } from "../base/json.ts";
import { BadValue, text, yesNo, type Setting } from "../base/setting.ts";

const HEADERS_MAX = 20;
const HEADER_CHARACTERS_MAX = 4_096;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/;

export const otlpEndpoint: Setting<string> = {
  key: "telemetry.otlp.endpoint",
  unit: "text",
  fallback: "",
  ...text({ max: 2_000, pattern: /^$|^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/, what: 'an address such as http://127.0.0.1:4318, without user or query; "" = no traces' }),
  takesEffect: "at once",
  doc: "Where traces are sent, as OpenTelemetry's OTLP over HTTP in JSON: the address of a collector, to which `/v1/traces` is added. Empty = none are made, and nothing of it is loaded.",
};

export const otlpHeaders: Setting<Readonly<Record<string, string>>> = {
  key: "telemetry.otlp.headers",
  unit: "map",
  fallback: {},
  bounds: `a map of at most ${HEADERS_MAX} header names to texts`,
  parse: parseHeaders,
  takesEffect: "at once",
  secret: true,
  doc: "Headers that are sent along with traces, e.g. `{authorization: \"Bearer …\"}`.",
};

export const traceContents: Setting<boolean> = {
  key: "telemetry.otlp.contents",
  unit: "yes/no",
  fallback: false,
  ...yesNo(),
  takesEffect: "at once",
  doc: "Whether traces hold words: the arguments and results of tools, cut to 2000 characters and with credentials masked. Without it they hold names, numbers and times only.",
};

export const SETTINGS: readonly Setting<unknown>[] = [otlpEndpoint, otlpHeaders, traceContents] as readonly Setting<unknown>[];

function parseHeaders(value: unknown): Readonly<Record<string, string>> {
  const expected = `a map of at most ${HEADERS_MAX} header names to texts of one line`;
  if (!isJsonObject(value) || Object.keys(value).length > HEADERS_MAX) throw new BadValue(expected);
  for (const [name, said] of Object.entries(value)) {
    if (!HEADER_NAME.test(name) || typeof said !== "string" || said.length > HEADER_CHARACTERS_MAX || /[^\t\u0020-\u007e]/.test(said)) throw new BadValue(expected);
  }
  return value as Readonly<Record<string, string>>;
}
