/**
 * The dashboard's files, read into memory once.
 *
 * Only names that were found in the folder are ever served, so a request cannot name its way out of
 * it. Links are not followed, and files of a kind that is not in the table are not served at all.
 */
import { hash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".json": "application/json; charset=utf-8",
  ".webmanifest": "application/manifest+json",
};

const FILES_MAX = 500;
const BYTES_MAX = 16_777_216;

/** A name that changes with the content may be kept for ever. */
const HASHED_NAME = /^\/assets\/.*-[A-Za-z0-9_-]{8,}\.[a-z0-9]+$/;
const FOR_EVER = "public, max-age=31536000, immutable";
const ASK_AGAIN = "no-cache";

export interface PageFile {
  readonly type: string;
  readonly bytes: Buffer;
  readonly etag: string;
  readonly cacheControl: string;
}

const NO_PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Yardmaster</title></head>
<body><h1>Yardmaster is running</h1>
<p>The dashboard is not built yet. Run <code>npm run build</code> in the project's folder and start the gateway again.</p>
<p>Until then: <code>yard chat</code> in a terminal, or the API at <code>/api/openapi.json</code>.</p></body></html>
`;

/** @returns looks a path of a request up; null = no such file. The folder is read at the first look. */
export function makePage(dir: string | null): (path: string) => Promise<PageFile | null> {
  let files: Promise<ReadonlyMap<string, PageFile>> | null = null;
  return async (path) => {
    files ??= readAll(dir);
    return (await files).get(path === "/" ? "/index.html" : path) ?? null;
  };
}

async function readAll(dir: string | null): Promise<ReadonlyMap<string, PageFile>> {
  const files = new Map<string, PageFile>();
  if (dir !== null) await readFolder(dir, files);
  if (!files.has("/index.html")) files.set("/index.html", pageFile("/index.html", Buffer.from(NO_PAGE)));
  return files;
}

async function readFolder(dir: string, files: Map<string, PageFile>): Promise<void> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
  let bytesLeft = BYTES_MAX;
  for (const entry of entries) {
    if (!entry.isFile() || TYPES[extname(entry.name)] === undefined || files.size >= FILES_MAX) continue;
    const file = join(entry.parentPath, entry.name);
    bytesLeft -= (await stat(file)).size;
    if (bytesLeft < 0) throw new Error(`the page in ${dir} is larger than ${BYTES_MAX} bytes`);
    const path = `/${relative(dir, file).split(sep).join("/")}`;
    files.set(path, pageFile(path, await readFile(file)));
  }
}

function pageFile(path: string, bytes: Buffer): PageFile {
  return {
    type: TYPES[extname(path)]!,
    bytes,
    etag: `"${hash("sha256", bytes, "base64url").slice(0, 22)}"`,
    cacheControl: HASHED_NAME.test(path) ? FOR_EVER : ASK_AGAIN,
  };
}
