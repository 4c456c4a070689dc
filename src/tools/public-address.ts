/**
 * Which IP addresses lie in the public internet: an allowlist, since what is not known to be public
 * may be somebody's inside.
 *
 * IPv4: everything but the ranges below. IPv6: 2000::/3 but its special ranges; and addresses that
 * carry an IPv4 address (mapped, NAT64), by the address that they carry.
 */
import { BlockList, isIPv4, isIPv6 } from "node:net";

const NOT_PUBLIC_V4: readonly (readonly [network: string, bits: number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["168.63.129.16", 32], // what Azure answers its machines on
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

const NOT_PUBLIC_V6: readonly (readonly [network: string, bits: number])[] = [
  ["2001::", 23], // protocol assignments, with Teredo
  ["2001:db8::", 32],
  ["2002::", 16], // 6to4, given up since 2015
  ["3fff::", 20],
];

const GLOBAL_UNICAST_V6 = ["2000::", 3] as const;
/** Prefixes of 96 bits after which an IPv4 address stands. */
const CARRIES_V4: readonly (readonly number[])[] = [
  [0, 0, 0, 0, 0, 0xffff],
  [0x64, 0xff9b, 0, 0, 0, 0],
];

const notPublic = new BlockList();
for (const [network, bits] of NOT_PUBLIC_V4) notPublic.addSubnet(network, bits, "ipv4");
for (const [network, bits] of NOT_PUBLIC_V6) notPublic.addSubnet(network, bits, "ipv6");
const globalUnicast = new BlockList();
globalUnicast.addSubnet(...GLOBAL_UNICAST_V6, "ipv6");

/** False also for what is no IP address. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !notPublic.check(address, "ipv4");
  if (!isIPv6(address) || address.includes("%")) return false;
  const groups = groupsOf(address);
  const carries = CARRIES_V4.some((prefix) => prefix.every((group, index) => groups[index] === group));
  if (carries) return isPublicAddress(groups.slice(6).flatMap((group) => [group >> 8, group & 255]).join("."));
  return globalUnicast.check(address, "ipv6") && !notPublic.check(address, "ipv6");
}

/** The eight numbers of a valid IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const withoutDots = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, a, b, c, d) => `${(Number(a) * 256 + Number(b)).toString(16)}:${(Number(c) * 256 + Number(d)).toString(16)}`);
  const [before = "", after] = withoutDots.split("::");
  const left = before === "" ? [] : before.split(":");
  const right = after === undefined || after === "" ? [] : after.split(":");
  const zeros = after === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => "0");
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
}
