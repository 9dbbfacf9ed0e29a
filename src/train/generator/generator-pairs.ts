import { type PairRecord, splitIds } from '../../data/index.ts';
import { canonicalJson, contentKey, DataError, type Progress, UsageError } from '../../system/index.ts';
import { hashList } from '../loop/run-identity.ts';
import { describeSkipped, type TokenizedPairs, tokenizePairs } from './chat-tokens.ts';
import type { GeneratorBase } from './generator-base.ts';
import type { GeneratorTrainingSettings } from './generator-settings.ts';
import { describeLengthBias } from './preference-watch.ts';

export interface GeneratorPairsOptions {
  pairs: readonly PairRecord[];
  /** Held-out pairs; without them some of `pairs` are held out. */
  devPairs?: readonly PairRecord[] | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Told what deserves a second look. */
  warn?: ((line: string) => void) | undefined;
}

/** The pairs of one side as they were given, and the tokens of those that can be learnt from. */
export interface GivenPairs {
  records: readonly PairRecord[];
  tokenized: TokenizedPairs;
}

/** How many pairs are left, and why others are not. */
export type PairCounts = Pick<TokenizedPairs, 'skipped' | 'cut' | 'examples'> & { pairs: number };

/**
 * The pairs to train on and those held out, by their tokens, whatever the engine. Tells of pairs that are left out or cut, of
 * queries on both sides, and, for DPO, of chosen answers that are the longer ones.
 * @throws UsageError if the model knows no texts of that length; DataError if no pair is left, or one stands on both sides
 */
export async function openGeneratorPairs(
  base: GeneratorBase,
  settings: GeneratorTrainingSettings,
  options: GeneratorPairsOptions,
): Promise<{ train: GivenPairs; dev: GivenPairs }> {
  checkLength(base, settings);
  const { train, dev } = divide(options, settings);
  if (options.devPairs !== undefined) checkSides(train, dev, settings, options);
  const given = {
    train: { records: train, tokenized: await tokenize(base, train, settings, options, 'train') },
    dev: { records: dev, tokenized: await tokenize(base, dev, settings, options, 'dev') },
  };
  const bias = settings.method === 'dpo' ? describeLengthBias(given.train.tokenized.pairs) : undefined;
  if (bias !== undefined) options.warn?.(bias);
  return given;
}

/** @throws UsageError if the model knows no texts of that length */
export function checkLength({ config, name }: GeneratorBase, { maxLength }: GeneratorTrainingSettings): void {
  if (maxLength <= config.maxLength) return;
  throw new UsageError(`maxLength: ${maxLength} tokens are more than the ${config.maxLength} that ${name} knows`, {
    fix: `Give at most ${config.maxLength}.`,
  });
}

/** Holds out the pairs of some queries, so that no query stands on both sides. */
function divide(
  { pairs, devPairs }: GeneratorPairsOptions,
  { devSize, seed }: GeneratorTrainingSettings,
): { train: readonly PairRecord[]; dev: readonly PairRecord[] } {
  if (devPairs !== undefined || devSize === 0) return { train: pairs, dev: devPairs ?? [] };
  const dev = new Set(splitIds(new Set(pairs.map(({ queryId }) => queryId)), devSize, seed).dev);
  return {
    train: pairs.filter(({ queryId }) => !dev.has(queryId)),
    dev: pairs.filter(({ queryId }) => dev.has(queryId)),
  };
}

/**
 * Refuses what is learnt and held out at once; tells of queries on both sides. Ids of pairs say nothing here: files without
 * ids have those of their rows.
 */
function checkSides(
  train: readonly PairRecord[],
  dev: readonly PairRecord[],
  { method }: GeneratorTrainingSettings,
  { warn }: GeneratorPairsOptions,
): void {
  const lessonOf = ({ prompt, chosen, rejected }: PairRecord) =>
    contentKey(method === 'dpo' ? [prompt, chosen, rejected] : [prompt, chosen]);
  const lessons = new Set(train.map(lessonOf));
  const twin = dev.find((pair) => lessons.has(lessonOf(pair)));
  if (twin !== undefined) {
    throw new DataError('the pair is held out, and stands among those to train on too', {
      id: twin.id,
      fix: 'Take it out of one of the two files, or give one file alone: then some of its queries are held out.',
    });
  }
  const marks = new Set(train.flatMap(queryMarks));
  const both = dev.filter((pair) => queryMarks(pair).some((mark) => marks.has(mark)));
  const queries = new Set(both.map(({ queryId }) => queryId)).size;
  if (queries === 0) return;
  warn?.(
    `${queries} queries of the dev pairs are trained on too, with other answers: evaluations look better than they are`,
  );
}

/** What tells a query again: its prompt, and its id where it has one beside the pair's. */
function queryMarks({ id, queryId, prompt }: PairRecord): string[] {
  return queryId === id ? [contentKey(prompt)] : [contentKey(prompt), queryId];
}

async function tokenize(
  { tokenizer, template }: GeneratorBase,
  pairs: readonly PairRecord[],
  { method, maxLength }: GeneratorTrainingSettings,
  { signal, progress, warn }: GeneratorPairsOptions,
  split: string,
): Promise<TokenizedPairs> {
  const sides = method === 'sft' ? 'chosen' : 'both';
  const result = await tokenizePairs(pairs, { tokenizer, template, maxLength, sides, signal, progress });
  const { skipped, cut, examples } = result;
  const left = pairs.length - result.pairs.length;
  if (left > 0)
    warn?.(`${left} ${split} pairs are left out (${describeSkipped(skipped)}), such as ${examples.join('; ')}`);
  if (cut.chosen > 0) {
    warn?.(
      `${cut.chosen} chosen answers of ${split} pairs are cut at ${maxLength} tokens and do not teach how they end`,
    );
  }
  return result;
}

export function countsOf({ tokenized: { pairs, skipped, cut, examples } }: GivenPairs): PairCounts {
  return { pairs: pairs.length, skipped, cut, examples };
}

/** What a manifest says of the pairs. */
export function pairHashes({ pairs, devPairs }: GeneratorPairsOptions) {
  const hashOf = (some: readonly PairRecord[]) => hashList(some, canonicalJson);
  return { pairs: hashOf(pairs), devPairs: devPairs && hashOf(devPairs) };
}
