import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { Journal } from '../data/index.ts';
import { contentKey, DataError, type Progress, SILENT, throwIfAborted } from '../system/index.ts';
import { cutMicroBatches } from './batches.ts';
import type { TokenPair } from './chat-tokens.ts';
import type { PreferenceExample, PreferenceTask } from './preference-task.ts';

/** Raised when the same model and pairs would give other numbers than before. */
const VERSION = 1;

export interface ReferenceOptions {
  /** Folder that keeps them. */
  cache: string;
  /** Of the model that training begins with. */
  fingerprint: string;
  microBatchTokens: number;
  device: string;
  /** How the weights are kept. Default `f32`. */
  storage?: string | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** One group of pairs that went through the model together. */
const groupSchema = z.object({
  group: z.number().int().nonnegative(),
  /** Chosen and rejected of each pair. */
  sums: z.array(z.tuple([z.number(), z.number()])),
});
type Group = z.output<typeof groupSchema>;

/**
 * What the reference model (the base, its adapter off) thinks of each pair's completions, computed once: a file in the
 * cache, named by model and tokens, keeps them for further runs, and a run that was cut off goes on in it.
 *
 * Pairs go through the model in the same groups each time, so that the numbers, and with them all that is trained on
 * them, are the same to the last bit whether they were computed or read.
 * @throws DataError for a broken file of the cache; AbortedError
 */
export async function withReference(
  task: Pick<PreferenceTask, 'tokens' | 'referenceOf'>,
  pairs: readonly TokenPair[],
  options: ReferenceOptions,
): Promise<PreferenceExample[]> {
  const { signal, progress = SILENT } = options;
  const groups = cutMicroBatches([...pairs.keys()], (index) => task.tokens(pairs[index]!), {
    tokens: options.microBatchTokens,
    packed: true,
  });
  const found = new Array<readonly [number, number]>(pairs.length);
  const journal = await Journal.open(join(options.cache, `${keyOf(pairs, options)}.jsonl`), groupSchema);
  try {
    for (const [number, record] of journal.records.entries()) fill(found, groups, record, number, journal.file);
    const done = journal.records.length;
    const left = groups.slice(done).reduce((sum, { length }) => sum + length, 0);
    const bar = progress.task('reference log-probabilities', left, 'pairs');
    for (const [index, group] of groups.slice(done).entries()) {
      throwIfAborted(signal);
      const sums = (await task.referenceOf(group.map((at) => pairs[at]!))).map(([a, b]): [number, number] => [a, b]);
      const record = { group: done + index, sums };
      await journal.append(record);
      fill(found, groups, record, record.group, journal.file);
      bar.advance(group.length);
    }
    bar.done(done > 0 ? `${pairs.length - left} from before` : undefined);
  } finally {
    await journal.close();
  }
  return pairs.map((pair, index) => ({ ...pair, reference: found[index]! }));
}

function fill(
  found: (readonly [number, number])[],
  groups: readonly number[][],
  { group, sums }: Group,
  expected: number,
  file: string,
): void {
  const members = groups[group];
  if (group !== expected || members?.length !== sums.length) {
    throw new DataError('does not hold the groups of pairs it is named by', {
      file,
      line: expected + 1,
      mend: 'Delete the file: it is computed again.',
    });
  }
  for (const [index, pair] of members.entries()) found[pair] = sums[index]!;
}

function keyOf(pairs: readonly TokenPair[], options: ReferenceOptions): string {
  const { fingerprint, microBatchTokens, device, storage = 'f32' } = options;
  const hash = createHash('sha256');
  for (const { prompt, chosen, rejected } of pairs) {
    for (const ids of [prompt, chosen, rejected]) {
      hash.update(`${ids.length},`).update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
    }
  }
  const pairsHash = hash.digest('hex');
  return contentKey({ version: VERSION, fingerprint, microBatchTokens, device, storage, pairs: pairsHash }).slice(
    0,
    32,
  );
}
