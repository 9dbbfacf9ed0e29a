import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { Journal } from '../../files/index.ts';
import {
  CacheKind,
  contentKey,
  DataError,
  makeFolder,
  type Progress,
  SILENT,
  throwIfAborted,
  withFileLock,
} from '../../system/index.ts';
import { cutMicroBatches } from '../loop/batches.ts';
import type { TokenPair } from './chat-tokens.ts';
import type { PreferenceExample, PreferenceTask } from './preference-task.ts';

/** Raised when the same model and pairs would give other numbers than before. */
const FORMAT = 3;

export const REFERENCE_CACHE = new CacheKind({
  name: 'reference-log-probabilities',
  format: FORMAT,
  what: 'log-probabilities of training pairs under their base model',
});

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
 * cache, named by model and tokens, keeps them for further runs, and a run that was cut off goes on in it. Of runs at the
 * same time one computes, and the others wait for it.
 *
 * Pairs go through the model in the same groups each time, so that the numbers, and with them all that is trained on
 * them, are the same to the last bit whether they were computed or read. A number differs in its last bits with the pairs
 * of its group: kept by pair, it would depend on what was trained before. So a file is of one set of pairs.
 * @throws DataError for a broken file of the cache; AbortedError
 */
export async function withReference(
  task: Pick<PreferenceTask, 'tokens' | 'referenceOf'>,
  pairs: readonly TokenPair[],
  options: ReferenceOptions,
): Promise<PreferenceExample[]> {
  const { cache, signal, progress } = options;
  await makeFolder(cache);
  const hashes = pairs.map(hashOf);
  // In an order of its own, so that neither the order of the pairs nor which of them are held out makes a difference.
  const order = [...pairs.keys()].sort((a, b) => Buffer.compare(hashes[a]!, hashes[b]!));
  const key = keyOf(
    order.map((index) => hashes[index]!),
    options,
  );
  // Beside the journal's own lock, which is not waited for: two trainings on the same pairs are no fault.
  const sorted = order.map((index) => pairs[index]!);
  const found = await withFileLock(
    join(cache, `${key}.lock`),
    () => findOrCompute(task, sorted, join(cache, `${key}.jsonl`), options),
    { what: 'computes the same reference log-probabilities', signal, progress },
  );
  const examples = new Array<PreferenceExample>(pairs.length);
  for (const [place, index] of order.entries()) examples[index] = { ...pairs[index]!, reference: found[place]! };
  return examples;
}

/** @returns the reference of each pair */
async function findOrCompute(
  task: Pick<PreferenceTask, 'tokens' | 'referenceOf'>,
  pairs: readonly TokenPair[],
  file: string,
  { microBatchTokens, signal, progress = SILENT }: ReferenceOptions,
): Promise<PreferenceExample['reference'][]> {
  const groups = cutMicroBatches([...pairs.keys()], (index) => task.tokens(pairs[index]!), {
    tokens: microBatchTokens,
    packed: true,
  });
  const found = new Array<PreferenceExample['reference']>(pairs.length);
  const journal = await Journal.open(file, groupSchema);
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
  return found;
}

function fill(
  found: PreferenceExample['reference'][],
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
      fix: 'Delete the file: it is computed again.',
    });
  }
  for (const [index, pair] of members.entries()) found[pair] = sums[index]!;
}

function hashOf({ prompt, chosen, rejected }: TokenPair): Buffer {
  const hash = createHash('sha256');
  for (const ids of [prompt, chosen, rejected]) {
    hash.update(`${ids.length},`).update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  }
  return hash.digest();
}

function keyOf(sortedHashes: readonly Buffer[], options: ReferenceOptions): string {
  const { fingerprint, microBatchTokens, device, storage = 'f32' } = options;
  const all = createHash('sha256');
  for (const hash of sortedHashes) all.update(hash);
  const pairs = all.digest('hex');
  return contentKey({ format: FORMAT, fingerprint, microBatchTokens, device, storage, pairs }).slice(0, 32);
}
