import { rename, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { z } from 'zod';
import { KeyedJournal } from '../../files/index.ts';
import {
  FinishedQueue,
  type Generation,
  type GenerationRequest,
  type Generator,
  generationSchema,
  RequestFeed,
  textKey,
} from '../../generate/index.ts';
import { DataError, makeFolder } from '../../system/index.ts';
import { breakSeal, ItemCount, sealShard, stemOf } from './seal.ts';
import { formatShard, isInShard, type Shard, shardsFolderOf } from './shard.ts';

/** What an LLM wrote, under the key of everything that decides it. */
export const writtenSchema = generationSchema.omit({ id: true }).extend({ key: generationSchema.shape.id });
export type Written = z.output<typeof writtenSchema>;

/** A query as far as shards are concerned. */
export interface ShardedQuery {
  id: string;
  text: string;
}

/** The facts of a generator that shards must have in common. */
export function factsOf({ id, fingerprint, contextSize }: Generator) {
  return { generator: { id, fingerprint, contextSize: contextSize ?? null } };
}

/**
 * One shard of the texts of an output, in a folder that several machines may share: a journal of what the LLM wrote, and a seal once
 * it is finished. Everything that writes texts can run on it: with {@link recording} in place of its generator, and {@link out} in
 * place of its output. Its own files are temporary; the journal alone is joined and resumed.
 */
export class TextShard {
  readonly folder: string;
  readonly shard: Shard;
  readonly #written: KeyedJournal<Written>;
  readonly #workFolder: string;
  readonly #name: string;

  private constructor(folder: string, shard: Shard, written: KeyedJournal<Written>, name: string) {
    [this.folder, this.shard, this.#written, this.#name] = [folder, shard, written, name];
    this.#workFolder = join(folder, `${stemOf(shard)}.work`);
  }

  /**
   * Opens a shard of an output, or goes on with it. A damaged journal is moved aside.
   * @throws ResourceError if another process works on this shard
   */
  static async open(out: string, shard: Shard, warn: (line: string) => void): Promise<TextShard> {
    const folder = shardsFolderOf(out);
    await makeFolder(folder);
    const path = join(folder, `${stemOf(shard)}.jsonl`);
    // Opening a journal drops a line that was cut, so the seal is compared first.
    if ((await breakSeal(folder, shard)) === 'changed') {
      await moveAside(path, `shard ${formatShard(shard)} was changed after it was finished`, warn);
      await breakSeal(folder, shard);
    }
    const written = await openOrReplace(path, warn);
    const opened = new TextShard(folder, shard, written, basename(resolve(out)));
    await opened.#removeWork();
    return opened;
  }

  /** Where the files of this shard's own run go. They are removed by {@link close}. */
  get out(): string {
    return join(this.#workFolder, this.#name);
  }

  /** The queries of a set that belong to this shard, in their order. */
  choose<Q extends ShardedQuery>(queries: Iterable<Q>): Q[] {
    return [...queries].filter(({ id }) => isInShard(this.shard, id));
  }

  /** Returns a generator that stores each text before anyone sees it, and takes those that are stored from there. */
  recording(generator: Generator): Generator {
    const { id, fingerprint, contextSize } = generator;
    return {
      ...{ id, fingerprint, contextSize },
      generate: (requests, signal) => this.#generate(generator, requests, signal),
      close: () => generator.close(),
    };
  }

  /** Declares the shard finished. */
  async seal(queries: Iterable<ShardedQuery>, generator: Generator): Promise<void> {
    await this.#written.close();
    const count = new ItemCount();
    for (const { id, text } of queries) count.add([id, text]);
    const names = [basename(this.#written.file)];
    await sealShard(this.folder, this.shard, { items: count.items, common: factsOf(generator), names });
  }

  async close(): Promise<void> {
    await this.#written.close();
    await this.#removeWork();
  }

  async *#generate(
    generator: Generator,
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Generation> {
    const feed = new RequestFeed(requests);
    const finished = new FinishedQueue<Generation>();
    const keys = new Map<string, string>();
    const missing = this.#missing(generator, feed, keys, finished);
    const work = async () => {
      for await (const generation of generator.generate(missing, signal)) {
        const { id, ...written } = generation;
        await this.#written.append({ key: keys.get(id)!, ...written });
        keys.delete(id);
        finished.push(generation);
      }
    };
    work().then(
      () => finished.end(),
      (error: unknown) => finished.fail(error),
    );
    try {
      yield* finished;
    } finally {
      await feed.close();
    }
  }

  /** Yields the requests whose text is not stored; the others are finished at once. */
  async *#missing(
    generator: Generator,
    feed: RequestFeed,
    keys: Map<string, string>,
    finished: FinishedQueue<Generation>,
  ): AsyncGenerator<GenerationRequest> {
    for (let request = await feed.take(true); request !== undefined; request = await feed.take(true)) {
      const key = textKey(generator, request);
      const [known] = await this.#written.find(key);
      if (known === undefined) {
        keys.set(request.id, key);
        yield request;
        continue;
      }
      const { key: _key, ...written } = known;
      finished.push({ id: request.id, ...written });
    }
  }

  async #removeWork(): Promise<void> {
    await rm(this.#workFolder, { recursive: true, force: true });
  }
}

async function openOrReplace(path: string, warn: (line: string) => void): Promise<KeyedJournal<Written>> {
  const openIt = () => KeyedJournal.open(path, writtenSchema, ({ key }) => key);
  return openIt().catch(async (error: unknown) => {
    if (!(error instanceof DataError)) throw error;
    await moveAside(path, error.message, warn);
    return openIt();
  });
}

async function moveAside(path: string, reason: string, warn: (line: string) => void): Promise<void> {
  await rename(path, `${path}.damaged`);
  warn(`${reason}: ${path} is now ${basename(path)}.damaged, and the shard begins again`);
}
