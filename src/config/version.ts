/** The version of this program, as its package says. */
import { readFileSync } from "node:fs";
import { findPackageJSON } from "node:module";

export function packageVersion(): string {
  // Published, this file lies one folder deeper than among the sources.
  const { version } = JSON.parse(readFileSync(findPackageJSON("..", import.meta.url)!, "utf8")) as { version: string };
  return version;
}
