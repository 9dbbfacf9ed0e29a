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

/** Increase it when a code change alters the numbers for the same model and pairs. */
const FORMAT = 3;

export const REFERENCE_CACHE = new CacheKind({
  name: 'reference-log-probabilities',
  format: FORMAT,
  what: 'log-probabilities of training pairs under their base model',
});

export interface ReferenceOptions {
  /** Folder that stores them. */
  cache: string;
  /** Fingerprint of the initial model. */
  fingerprint: string;
  microBatchTokens: number;
  device: string;
  /** Storage of the frozen weights. Default `f32`. */
  storage?: string | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** A group of pairs that went through the model together. */
const groupSchema = z.object({
  group: z.number().int().nonnegative(),
  /** Chosen and rejected sum of each pair. */
  sums: z.array(z.tuple([z.number(), z.number()])),
});
type Group = z.output<typeof groupSchema>;

/**
 * Adds the log-probabilities of each pair's completions under the reference model (the base with its adapter off). They
 * are computed once: a cache file, named by model and tokens, keeps them for later runs, and an interrupted run resumes
 * in it. If several runs need them at once, one computes and the others wait.
 *
 * The last bits of a number depend on the other pairs of its group. Therefore pairs always go through the model in the
 * same groups, and a file belongs to one set of pairs. Numbers, and all that is trained on them, are bit-identical
 * whether computed or read.
 * @throws DataError if a cache file is damaged; AbortedError
 */
export async function withReference(
  task: Pick<PreferenceTask, 'tokens' | 'referenceOf'>,
  pairs: readonly TokenPair[],
  options: ReferenceOptions,
): Promise<PreferenceExample[]> {
  const { cache, signal, progress } = options;
  await makeFolder(cache);
  const hashes = pairs.map(hashOf);
  // Sorted by hash, so neither the order of the pairs nor the dev split makes a difference.
  const order = [...pairs.keys()].sort((a, b) => Buffer.compare(hashes[a]!, hashes[b]!));
  const key = keyOf(
    order.map((index) => hashes[index]!),
    options,
  );
  // The journal's own lock does not wait, but two training runs on the same pairs are legitimate: this lock waits.
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

/** @returns the reference log-probabilities of each pair */
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
    bar.done(done > 0 ? `${pairs.length - left} already done` : undefined);
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
    throw new DataError('does not hold the groups of pairs that its name stands for', {
      file,
      line: expected + 1,
      fix: 'Delete the file. It will be computed again.',
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
