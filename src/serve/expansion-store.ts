import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { WRITERS_FORMAT } from '../generate/index.ts';
import { CacheKind } from '../system/index.ts';

/** Expansions that a server wrote. Each is a small file that is named by the key of everything that decides it. */
export const SERVED_CACHE = new CacheKind({
  name: 'served-expansions',
  format: WRITERS_FORMAT,
  what: 'expansions written by `llm-qe serve`',
  isSmall: true,
});

const entrySchema = z.object({ query: z.string(), texts: z.array(z.string()), tokens: z.number() });
/** What was written for a query. */
export type StoredExpansion = z.output<typeof entrySchema>;

export interface ExpansionStoreOptions {
  /** Default: `served-expansions` in the cache. */
  folder?: string | undefined;
  /** Most expansions on disk; the oldest are removed. Default 100,000. */
  limit?: number | undefined;
  /** Most expansions in memory. Default 10,000. */
  inMemory?: number | undefined;
}

/** Writes between two looks at the number of files. */
const WRITES_PER_SWEEP = 1000;
/** Most characters in memory: the longest queries and texts must not fill it. */
const MOST_CHARACTERS = 32 * 2 ** 20;
/** Share that is kept when there are too many. */
const KEPT = 0.9;

/**
 * Expansions by content key, in memory and on disk. Several processes may share the folder: a file appears when it is complete, and
 * a file that is damaged or gone only means that the text is written again. A disk that cannot be written costs the same.
 */
export class ExpansionStore {
  readonly #folder: string;
  readonly #limit: number;
  readonly #inMemory: number;
  readonly #recent = new Map<string, StoredExpansion>();
  /** Of all that is in memory. */
  #characters = 0;
  #writes = 0;

  constructor({ folder = SERVED_CACHE.folder(), limit = 100_000, inMemory = 10_000 }: ExpansionStoreOptions = {}) {
    this.#folder = folder;
    this.#limit = limit;
    this.#inMemory = inMemory;
  }

  async get(key: string): Promise<StoredExpansion | undefined> {
    const recent = this.#recent.get(key);
    const found = recent ?? (await read(this.#fileOf(key)));
    if (found !== undefined) this.#remember(key, found);
    return found;
  }

  async put(key: string, expansion: StoredExpansion): Promise<void> {
    this.#remember(key, expansion);
    const file = this.#fileOf(key);
    // Processes of several containers may have one id.
    const beside = `${file}.${randomUUID()}.partial`;
    try {
      await mkdir(join(file, '..'), { recursive: true });
      await writeFile(beside, JSON.stringify(expansion));
      await rename(beside, file);
    } catch {
      await rm(beside, { force: true }).catch(() => {});
    }
    if (this.#writes++ % WRITES_PER_SWEEP === 0) await this.#sweep().catch(() => {});
  }

  /** The least recently used are forgotten. */
  #remember(key: string, expansion: StoredExpansion): void {
    this.#forget(key);
    this.#recent.set(key, expansion);
    this.#characters += charactersOf(expansion);
    while (this.#recent.size > this.#inMemory || this.#characters > MOST_CHARACTERS) {
      this.#forget(this.#recent.keys().next().value!);
    }
  }

  #forget(key: string): void {
    const known = this.#recent.get(key);
    if (known === undefined) return;
    this.#recent.delete(key);
    this.#characters -= charactersOf(known);
  }

  #fileOf(key: string): string {
    return join(this.#folder, key.slice(0, 2), `${key}.json`);
  }

  /** Removes the oldest files if there are too many, and what killed processes left behind. */
  async #sweep(): Promise<void> {
    const entries = await readdir(this.#folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
    const kept = files.filter((file) => file.endsWith('.json'));
    const tooMany = kept.length > this.#limit ? kept.length - Math.floor(this.#limit * KEPT) : 0;
    const dated = await Promise.all(
      (tooMany > 0 ? files : files.filter((file) => !file.endsWith('.json'))).map(async (file) => ({
        file,
        time: (await stat(file).catch(() => undefined))?.mtimeMs ?? 0,
      })),
    );
    const oldest = dated.filter(({ file }) => file.endsWith('.json')).sort((a, b) => a.time - b.time);
    const abandoned = dated.filter(({ file, time }) => file.endsWith('.partial') && time < Date.now() - 3_600_000);
    for (const { file } of [...oldest.slice(0, tooMany), ...abandoned]) await rm(file, { force: true });
  }
}

function charactersOf({ query, texts }: StoredExpansion): number {
  return texts.reduce((sum, { length }) => sum + length, query.length);
}

async function read(file: string): Promise<StoredExpansion | undefined> {
  try {
    return entrySchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return undefined;
  }
}
