import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type LocalServer, serveBytes, startServer } from './local-server.ts';

export const COMMIT = 'c0ffee'.padEnd(40, '0');

export interface FakeHubOptions {
  /** Files of the one repository that exists, `owner/name`, by path. */
  files: Record<string, string | Buffer>;
  /** Only this token is let in. */
  token?: string;
  /** Answers some requests in another way; true where it has answered. */
  intercept?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Another SHA-256 or blob id than the true one, by path. */
  lies?: Record<string, string>;
}

/** A server that answers as the Hugging Face hub does: listing, redirects to storage elsewhere, gates. */
export interface FakeHub {
  readonly url: string;
  /** `METHOD /path` of every request to the hub itself. */
  readonly asked: () => string[];
  readonly hub: LocalServer;
  readonly storage: LocalServer;
  close(): Promise<void>;
}

const REPOSITORY = 'owner/name';

export async function startFakeHub(options: FakeHubOptions): Promise<FakeHub> {
  const storage = await startServer((request, response) => {
    const path = decodeURIComponent(request.url!.split('?')[0]!.slice(1));
    serveBytes(request, response, Buffer.from(options.files[path]!));
  });
  const hub = await startServer((request, response) => {
    if (options.intercept?.(request, response)) return;
    if (options.token !== undefined && request.headers.authorization !== `Bearer ${options.token}`) {
      const status = request.headers.authorization === undefined ? 401 : 403;
      response.writeHead(status, { 'x-error-code': 'GatedRepo' }).end();
      return;
    }
    answer(request, response, options, storage.url);
  });
  const asked = () => hub.requests.map(({ method, url }) => `${method} ${url}`);
  return {
    url: hub.url,
    asked,
    hub,
    storage,
    close: async () => void (await Promise.all([hub.close(), storage.close()])),
  };
}

function answer(request: IncomingMessage, response: ServerResponse, options: FakeHubOptions, storage: string): void {
  const [path] = request.url!.split('?');
  if (path!.startsWith(`/api/models/${REPOSITORY}/revision/`)) {
    const revision = decodeURIComponent(path!.split('/').at(-1)!);
    if (!['main', 'v2', 'refs/pr/1', COMMIT].includes(revision)) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(listing(options)));
    return;
  }
  const prefix = `/${REPOSITORY}/resolve/${COMMIT}/`;
  const file = decodeURIComponent(path!.slice(prefix.length));
  if (!path!.startsWith(prefix) || options.files[file] === undefined) return void response.writeHead(404).end();
  if (isLarge(file))
    response.writeHead(302, { location: `${storage}/${encodeURIComponent(file)}?signature=secret` }).end();
  else serveBytes(request, response, Buffer.from(options.files[file]!));
}

function listing({ files, lies = {} }: FakeHubOptions) {
  return {
    id: REPOSITORY,
    sha: COMMIT,
    siblings: Object.entries(files).map(([rfilename, content]) => {
      const bytes = Buffer.from(content);
      const size = bytes.length;
      if (!isLarge(rfilename)) return { rfilename, size, blobId: lies[rfilename] ?? blobId(bytes) };
      const sha256 = lies[rfilename] ?? createHash('sha256').update(bytes).digest('hex');
      return { rfilename, size, blobId: blobId(Buffer.from('pointer')), lfs: { sha256, size, pointerSize: 134 } };
    }),
  };
}

function isLarge(file: string): boolean {
  return /\.(safetensors|bin|gguf)$/.test(file);
}

function blobId(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}
