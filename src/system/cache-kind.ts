import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from './folders.ts';
import { cacheHome } from './places.ts';

export interface CacheKindSettings {
  /** Its folder under the cache home. */
  name: string;
  /** What its entries are, in a few words. */
  what: string;
  /**
   * Number of the entries' content and layout. Raise it whenever the same inputs would give other bytes: entries of
   * another number are not found any more, and `llm-qe cache clean` removes them. Undefined if the entries' own keys or
   * manifests say it.
   */
  format?: number | undefined;
  /** Whether entries came from elsewhere (a download), and are removed only when this kind is named. */
  isPrecious?: boolean | undefined;
  /** Whether an entry is a small note among very many; such kinds are listed as a whole. */
  isSmall?: boolean | undefined;
  /** What an entry belongs to, read from the entry itself. Undefined if it does not say. */
  describe?: ((path: string) => Promise<string | undefined>) | undefined;
}

/**
 * One kind of what is kept under the cache home and can be fetched or computed again. It is defined beside the code that
 * makes its entries; the table of all kinds is `CACHES` of the command line.
 */
export class CacheKind {
  readonly name: string;
  readonly what: string;
  readonly format: number | undefined;
  readonly isPrecious: boolean;
  readonly isSmall: boolean;
  readonly #describe: CacheKindSettings['describe'];

  constructor({ name, what, format, isPrecious = false, isSmall = false, describe }: CacheKindSettings) {
    this.name = name;
    this.what = what;
    this.format = format;
    this.isPrecious = isPrecious;
    this.isSmall = isSmall;
    this.#describe = describe;
  }

  /** Where entries of today's format stand. */
  folder(home: string = cacheHome()): string {
    return this.format === undefined ? join(home, this.name) : join(home, this.name, `v${this.format}`);
  }

  /**
   * Notes what an entry belongs to, for people: `KEY.about` beside it.
   * A cache that cannot be written only costs time, and the entry itself will say so.
   */
  async note(entry: string, about: string): Promise<void> {
    await makeFolder(join(entry, '..')).catch(() => {});
    await writeFile(`${entry}${ABOUT}`, `${about}\n`, { flag: 'wx' }).catch(() => {});
  }

  /** What an entry belongs to; undefined if nothing says it. */
  async about(entry: string): Promise<string | undefined> {
    const noted = await readFile(`${entry}${ABOUT}`, 'utf8').catch(() => undefined);
    const found = noted?.trim() || (await this.#describe?.(entry).catch(() => undefined));
    return found?.slice(0, LONGEST_ABOUT);
  }
}

/** Ending of the note beside an entry. */
export const ABOUT = '.about';

const LONGEST_ABOUT = 200;
