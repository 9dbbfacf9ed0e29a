import { join } from 'node:path';
import { z } from 'zod';
import { KeyedJournal } from '../../files/index.ts';
import { type Generation, type GenerationRequest, type Generator, textKey } from '../../generate/index.ts';
import { throwIfAborted } from '../../system/index.ts';
import { ItemCount, readSeals, type Seal, unusable } from './seal.ts';
import { shardOf, shardsFolderOf } from './shard.ts';
import { type ShardedQuery, type Written, writtenSchema } from './text-shard.ts';

const commonSchema = z.object({
  generator: z.object({ id: z.string(), fingerprint: z.string(), contextSize: z.number().nullable() }),
});

/**
 * Opens the finished shards of an output as a generator: whatever wrote one output on one machine writes the same files with it,
 * without an LLM.
 * @param queries all queries of the output
 * @throws DataError that names the shard if one is missing, unfinished, cut or made for other queries
 */
export async function openJoinedTexts(out: string, queries: readonly ShardedQuery[]): Promise<Generator> {
  const folder = shardsFolderOf(out);
  const seals = await readSeals(folder, (of) => hashesOf(queries, of), 'other queries');
  const shards: KeyedJournal<Written>[] = [];
  try {
    for (const seal of seals) {
      const [name] = Object.keys(seal.files);
      shards.push(await KeyedJournal.open(join(folder, name!), writtenSchema, ({ key }) => key));
    }
    return new JoinedTexts(folder, seals, shards);
  } catch (error) {
    for (const shard of shards) await shard.close();
    throw error;
  }
}

function hashesOf(queries: readonly ShardedQuery[], of: number): string[] {
  const counts = Array.from({ length: of }, () => new ItemCount());
  for (const { id, text } of queries) counts[shardOf(id, of) - 1]!.add([id, text]);
  return counts.map(({ items }) => items.sha256);
}

class JoinedTexts implements Generator {
  readonly id: string;
  readonly fingerprint: string;
  readonly contextSize: number | undefined;
  readonly #folder: string;
  readonly #shards: readonly KeyedJournal<Written>[];

  constructor(folder: string, seals: readonly Seal[], shards: readonly KeyedJournal<Written>[]) {
    const { generator } = commonSchema.parse(seals[0]!.common);
    [this.id, this.fingerprint, this.contextSize] = [
      generator.id,
      generator.fingerprint,
      generator.contextSize ?? undefined,
    ];
    [this.#folder, this.#shards] = [folder, shards];
  }

  async *generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal?: AbortSignal,
  ): AsyncGenerator<Generation> {
    for await (const request of requests) {
      throwIfAborted(signal);
      const { key: _key, ...written } = await this.#find(request);
      yield { id: request.id, ...written };
    }
  }

  async close(): Promise<void> {
    for (const shard of this.#shards) await shard.close();
  }

  async #find(request: GenerationRequest): Promise<Written> {
    const of = this.#shards.length;
    // Requests of one query are named QUERY/NUMBER.
    const query = request.id.slice(0, request.id.lastIndexOf('/'));
    const index = shardOf(query, of);
    const [found] = await this.#shards[index - 1]!.find(textKey(this, request));
    if (found !== undefined) return found;
    throw unusable(this.#folder, { index, of }, `holds no text of query ${query} with these settings`);
  }
}
