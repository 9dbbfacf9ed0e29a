import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from './folders.ts';
import { cacheHome } from './places.ts';

export interface CacheKindSettings {
  /** Name of its folder in the cache home. */
  name: string;
  /** What its entries are, in a few words. */
  what: string;
  /**
   * Version of the entries' content and layout. Raise it whenever the same inputs would give other bytes: entries of another
   * version are no longer found, and `llm-qe cache clean` removes them. Undefined if the entries' own keys or manifests hold a
   * version.
   */
  format?: number | undefined;
  /** Whether entries were downloaded; they are removed only if this kind is named. */
  isPrecious?: boolean | undefined;
  /** Whether entries are very many small notes. Such a kind is listed as one line. */
  isSmall?: boolean | undefined;
  /** Returns what an entry belongs to, read from the entry itself; undefined if it does not say. */
  describe?: ((path: string) => Promise<string | undefined>) | undefined;
}

/**
 * One kind of entries in the cache home that can be downloaded or computed again. It is defined next to the code that makes its
 * entries. `CACHES` in the command line lists all kinds.
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

  /** Returns the folder of the entries in the current format. */
  folder(home: string = cacheHome()): string {
    return this.format === undefined ? join(home, this.name) : join(home, this.name, `v${this.format}`);
  }

  /**
   * Writes down what an entry belongs to, for users, as `KEY.about` next to it. A cache that cannot be written only costs time: the
   * entry itself will report the fault.
   */
  async note(entry: string, about: string): Promise<void> {
    await makeFolder(join(entry, '..')).catch(() => {});
    await writeFile(`${entry}${ABOUT}`, `${about}\n`, { flag: 'wx' }).catch(() => {});
  }

  /** Returns what an entry belongs to; undefined if that is not recorded. */
  async about(entry: string): Promise<string | undefined> {
    const noted = await readFile(`${entry}${ABOUT}`, 'utf8').catch(() => undefined);
    const found = noted?.trim() || (await this.#describe?.(entry).catch(() => undefined));
    return found?.slice(0, LONGEST_ABOUT);
  }
}

/** Extension of the note next to an entry. */
export const ABOUT = '.about';

const LONGEST_ABOUT = 200;
