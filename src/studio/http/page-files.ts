import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Hono } from 'hono';
import { ResourceError } from '../../system/index.ts';

const TYPES: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};
/** Written by the build: the modules that each screen needs, by its id, the first screen first. */
const NEEDS = 'needs.json';
const compress = promisify(gzip);
/** The files' addresses begin with their common hash, so a browser may keep them for ever. */
const FOR_EVER = 'private, max-age=31536000, immutable';

interface PageFile {
  type: string;
  content: Buffer;
  /** Made when it is first asked for. */
  packed?: Promise<Buffer>;
}

/**
 * The page's files: read once, and found by their exact name, so that no name can lead out of their folder. They are sent with gzip,
 * the one encoding that all browsers take from a server without TLS.
 */
export class PageFiles {
  readonly #files = new Map<string, PageFile>();
  /** The page as it begins with a screen, by the screen's id: it names the modules that this screen needs. */
  readonly #pages: ReadonlyMap<string, PageFile>;
  /** The page of `/`, and of addresses that name no screen. */
  readonly #first: PageFile;
  /** Of all files. */
  readonly version: string;

  /** @throws ResourceError if the page was not built */
  constructor(folder: string) {
    const hash = createHash('sha256');
    for (const name of namesIn(folder)) {
      const content = readFileSync(join(folder, name));
      hash.update(name).update(content);
      const type = TYPES[extname(name)];
      if (type !== undefined) this.#files.set(name.replaceAll('\\', '/'), { type, content });
    }
    this.version = hash.digest('hex').slice(0, 16);
    const assets = `/assets/${this.version}`;
    const index = readFileSync(join(folder, 'index.html'), 'utf8').replaceAll('{assets}', assets);
    const needs = Object.entries(JSON.parse(readFileSync(join(folder, NEEDS), 'utf8')) as Record<string, string[]>);
    this.#pages = new Map(needs.map(([screen, modules]) => [screen, pageOf(index, assets, modules)]));
    this.#first = this.#pages.values().next().value!;
  }

  /** Names of everything under /assets/VERSION/. */
  get names(): string[] {
    return [...this.#files.keys()];
  }

  /** The size of a file as it is sent, in bytes. */
  async transferred(name: string): Promise<number> {
    return (await packedOf(this.#files.get(name)!)).length;
  }

  /** Adds the files, and the page itself at every other address: its script shows the screen that the address names. */
  routes(): Hono {
    const app = new Hono();
    app.get(`/assets/${this.version}/:name{.+}`, async (context) => {
      const file = this.#files.get(context.req.param('name'));
      if (file === undefined) return context.notFound();
      return answer(file, context.req.header('accept-encoding'), FOR_EVER);
    });
    app.get('*', async (context) => {
      if (/^\/(api|assets)(\/|$)/.test(context.req.path)) return context.notFound();
      const etag = `"${this.version}"`;
      if (context.req.header('if-none-match') === etag) return new Response(null, { status: 304, headers: { etag } });
      const page = this.#pages.get(context.req.path.split('/')[1]!) ?? this.#first;
      return answer(page, context.req.header('accept-encoding'), 'private, no-cache', { etag });
    });
    return app;
  }
}

/** The browser fetches all modules at once, rather than each when it has read the one that imports it. */
function pageOf(index: string, assets: string, modules: readonly string[]): PageFile {
  const links = modules.map((name) => `<link rel="modulepreload" href="${assets}/${name}" />`);
  const html = index.replace('{needs}', links.join('\n    '));
  return { type: 'text/html; charset=utf-8', content: Buffer.from(html) };
}

async function answer(
  file: PageFile,
  accepted = '',
  caching: string,
  more: Record<string, string> = {},
): Promise<Response> {
  const isPacked = /\bgzip\b/.test(accepted);
  const body = isPacked ? await packedOf(file) : file.content;
  const headers = {
    ...{ 'content-type': file.type, 'content-length': `${body.length}`, 'cache-control': caching },
    ...(isPacked && { 'content-encoding': 'gzip' }),
    ...{ vary: 'accept-encoding', ...more },
  };
  return new Response(body as Uint8Array<ArrayBuffer>, { headers });
}

function packedOf(file: PageFile): Promise<Buffer> {
  file.packed ??= compress(file.content, { level: 9 });
  return file.packed;
}

function namesIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    const names = entries
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name).slice(folder.length + 1));
    if (names.includes('index.html') && names.includes(NEEDS)) return names.sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  throw new ResourceError('the page of the studio was not built', { file: folder, fix: 'Run `npm run build`.' });
}
