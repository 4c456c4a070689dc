/** A reporter for node:test that writes one JSON line with the totals. */
export default async function* countReporter(source) {
  for await (const { type, data } of source) {
    // A summary with a file is that file's own; the one without is of the whole run.
    if (type === "test:summary" && data.file === undefined) yield `${JSON.stringify(data.counts)}\n`;
  }
}
