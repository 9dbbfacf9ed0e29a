import { type PairRecord, splitIds } from '../../data/index.ts';
import { canonicalJson, contentKey, counted, DataError, type Progress, UsageError } from '../../system/index.ts';
import { hashList } from '../loop/run-identity.ts';
import { describeSkipped, type TokenizedPairs, tokenizePairs } from './chat-tokens.ts';
import type { GeneratorBase } from './generator-base.ts';
import type { GeneratorTrainingSettings } from './generator-settings.ts';
import { describeLengthBias } from './preference-watch.ts';

export interface GeneratorPairsOptions {
  pairs: readonly PairRecord[];
  /** Held-out pairs. If omitted, some of `pairs` are held out. */
  devPairs?: readonly PairRecord[] | undefined;
  /** Extra variables for the chat template, such as `enable_thinking`. Use those with which the model will write. */
  chatTemplateKwargs?: Readonly<Record<string, unknown>> | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Receives warnings. */
  warn?: ((line: string) => void) | undefined;
}

/** The pairs of one split as they were passed, and the tokens of those that can be trained on. */
export interface GivenPairs {
  records: readonly PairRecord[];
  tokenized: TokenizedPairs;
}

/** The number of usable pairs, and why others were skipped. */
export type PairCounts = Pick<TokenizedPairs, 'skipped' | 'cut' | 'examples'> & { pairs: number };

/**
 * Opens the pairs to train on and those held out, for any engine. It warns if pairs are skipped or truncated, if
 * queries are in both splits, and, for DPO, if chosen answers are much longer than rejected ones.
 * @throws UsageError if the model does not support texts of that length; DataError if no pair is left or a pair is in
 * both splits
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

/** @throws UsageError if the model does not support texts of that length */
export function checkLength({ config, name }: GeneratorBase, { maxLength }: GeneratorTrainingSettings): void {
  if (maxLength <= config.maxLength) return;
  throw new UsageError(`maxLength: ${maxLength} tokens exceed the ${config.maxLength} that ${name} supports`, {
    fix: `Use at most ${config.maxLength}.`,
  });
}

/** Holds out all pairs of some queries, so no query is in both splits. */
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
 * Refuses pairs that are in both splits; warns about queries in both. Pair ids do not help here: in files without ids
 * they are row numbers.
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
    throw new DataError('the pair is in both the training pairs and the dev pairs', {
      id: twin.id,
      fix: 'Remove it from one of the two files, or pass the training file only: then some of its queries are held out.',
    });
  }
  const marks = new Set(train.flatMap(queryMarks));
  const both = dev.filter((pair) => queryMarks(pair).some((mark) => marks.has(mark)));
  const queries = new Set(both.map(({ queryId }) => queryId)).size;
  if (queries === 0) return;
  warn?.(
    `${counted(queries, 'query of the dev pairs is', 'queries of the dev pairs are')} also trained on, with other answers: evaluations will look too good`,
  );
}

/** What identifies a query: its prompt, and its id if it differs from the pair's id. */
function queryMarks({ id, queryId, prompt }: PairRecord): string[] {
  return queryId === id ? [contentKey(prompt)] : [contentKey(prompt), queryId];
}

async function tokenize(
  { tokenizer, template }: GeneratorBase,
  pairs: readonly PairRecord[],
  { method, maxLength }: GeneratorTrainingSettings,
  { chatTemplateKwargs, signal, progress, warn }: GeneratorPairsOptions,
  split: string,
): Promise<TokenizedPairs> {
  const sides = method === 'sft' ? 'chosen' : 'both';
  const result = await tokenizePairs(pairs, {
    ...{ tokenizer, template, variables: chatTemplateKwargs, maxLength, sides, signal, progress },
  });
  const { skipped, cut, examples } = result;
  const left = pairs.length - result.pairs.length;
  if (left > 0)
    warn?.(
      `${counted(left, `${split} pair is`, `${split} pairs are`)} skipped (${describeSkipped(skipped)}), such as ${examples.join('; ')}`,
    );
  if (cut.chosen > 0) {
    warn?.(
      `${counted(cut.chosen, `chosen answer of ${split} pairs is`, `chosen answers of ${split} pairs are`)} truncated at ${maxLength} tokens, so that training does not see the end`,
    );
  }
  return result;
}

export function countsOf({ tokenized: { pairs, skipped, cut, examples } }: GivenPairs): PairCounts {
  return { pairs: pairs.length, skipped, cut, examples };
}

/** The hashes of the pairs, and the variables of their chat template, for the manifest. */
export function pairHashes({ pairs, devPairs, chatTemplateKwargs }: GeneratorPairsOptions) {
  const hashOf = (some: readonly PairRecord[]) => hashList(some, canonicalJson);
  return { pairs: hashOf(pairs), devPairs: devPairs && hashOf(devPairs), chatTemplateKwargs };
}
