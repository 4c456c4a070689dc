/** Settings of the API: who may reach it under which names. */
import { listOf, text, type Setting } from "../base/setting.ts";

const NAMES_MAX = 50;

export const allowedOrigins: Setting<readonly string[]> = {
  key: "gateway.allowedOrigins",
  unit: "list",
  fallback: [],
  ...listOf(text({ max: 300, pattern: /^https?:\/\/[^/\s?#@]+$/, what: "an origin such as https://yard.example.org, without a path" }), { max: NAMES_MAX }),
  takesEffect: "at once",
  doc: "Origins of web pages that may call the gateway besides the page that it serves itself, e.g. the public address of a proxy in front of it.",
};

export const allowedHosts: Setting<readonly string[]> = {
  key: "gateway.allowedHosts",
  unit: "list",
  fallback: [],
  ...listOf(text({ max: 253, pattern: /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)$/, what: "a host name or address without a port; an IPv6 address in brackets" }), { max: NAMES_MAX }),
  takesEffect: "at once",
  doc: "Host names that the gateway answers to besides 127.0.0.1, localhost and [::1]. Others are refused, so that a foreign name that resolves to this machine opens nothing.",
};

export const SETTINGS: readonly Setting<unknown>[] = [allowedOrigins, allowedHosts];
