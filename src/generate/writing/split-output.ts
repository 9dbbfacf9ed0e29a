import { rm, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { readStageManifest } from '../../files/index.ts';
import { sha256, UsageError } from '../../system/index.ts';
import type { StageQuery } from './query-set.ts';
import { openGrowingOutput, type RecordLayout, type StageOutput } from './stage-output.ts';

/** Two files that grow side by side. Each query's records go to one of them. */
export interface SplitFiles {
  train: string;
  dev: string;
}

/** An output of two files, which counts the queries in each. */
export interface SplitOutput<Q extends StageQuery, T> extends StageOutput<Q, T> {
  readonly sizes: { train: number; dev: number };
}

/**
 * Opens two files that grow under their final names, by complete queries.
 * @throws DataError if a file is broken or holds a query twice
 */
export async function openSplitOutput<Q extends StageQuery, T>(
  files: SplitFiles,
  isDev: (query: Q) => boolean,
  layout: RecordLayout<T>,
): Promise<SplitOutput<Q, T>> {
  const train = await openGrowingOutput<Q, T>(files.train, layout);
  const dev = await openGrowingOutput<Q, T>(files.dev, layout).catch(async (error: unknown) => {
    await train.close();
    throw error;
  });
  const sizes = { train: train.found, dev: dev.found };
  return {
    sizes,
    found: train.found + dev.found,
    has: (id) => train.has(id) || dev.has(id),
    async append(query, records) {
      const side = isDev(query) ? 'dev' : 'train';
      await (side === 'dev' ? dev : train).append(query, records);
      sizes[side]++;
    },
    async commit() {
      await train.commit();
      await dev.commit();
    },
    async close() {
      await train.close();
      await dev.close();
    },
  };
}

/** Refuses a second file that was not begun with the first; with `force`, it is removed. @throws UsageError */
export async function refuseOtherDevFile({ train, dev }: SplitFiles, force: boolean): Promise<void> {
  const manifest = await readStageManifest(train);
  if (manifest?.about.devFile === basename(dev)) return;
  if (force) return rm(dev, { force });
  const size = await stat(dev).then(
    (facts) => facts.size,
    () => 0,
  );
  if (size === 0) return;
  throw new UsageError(`already exists, and was not written with ${basename(train)}`, {
    file: dev,
    fix: 'Choose another folder (--out), or replace this file with --force.',
  });
}

/**
 * Draws the development queries: a share of all, by a hash of seed and text. The choice does not depend on the order of the queries, and
 * rows of one query are on the same side. Every query has to be surveyed before one is asked for.
 */
export class DevQueries {
  readonly #share: number;
  readonly #seed: number;
  readonly #ranks: number[] = [];
  #limit: number | undefined;

  /** @param share from 0 to below 1 */
  constructor(share: number, seed: number) {
    [this.#share, this.#seed] = [share, seed];
  }

  survey(text: string): void {
    this.#ranks.push(this.#rankOf(text));
  }

  /** At least one query is chosen if the share is above 0 and there are two. */
  has(text: string): boolean {
    this.#limit ??= this.#findLimit();
    return this.#rankOf(text) < this.#limit;
  }

  #findLimit(): number {
    const ranks = Float64Array.from(this.#ranks).sort();
    this.#ranks.length = 0;
    if (this.#share === 0 || ranks.length < 2) return 0;
    const size = Math.round(this.#share * ranks.length);
    return ranks[Math.min(Math.max(1, size), ranks.length - 1)]!;
  }

  /** 48 bits. */
  #rankOf(text: string): number {
    return Number.parseInt(sha256(`${this.#seed} ${text}`).slice(0, 12), 16);
  }
}
