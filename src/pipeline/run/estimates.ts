import type { Recipe } from '../recipe/recipe-schema.ts';
import type { Engine } from './engines.ts';
import type { ModelCopy, ModelFacts } from './model-facts.ts';

/** Queries of each split and documents of the corpus; Infinity if nobody knows. */
export interface QueryCounts {
  train: number;
  dev: number;
  test: number;
  corpus: number;
}

/** Tokens per second; NaN if nobody knows. */
export interface Rates {
  /** Of the servers. */
  generation: number;
  /** Of the embedded runtime, with the LLM that is aligned. */
  embedded: number;
  training: number;
}

/** The models of a recipe. */
export interface RecipeModels {
  generator: ModelFacts;
  answerGenerator: ModelFacts | undefined;
  encoder: ModelFacts;
  /** The other encoders that judge. */
  judges: readonly ModelFacts[];
}

/** All that the figures of the stages are reckoned from. */
export interface Known extends RecipeModels {
  engine: Engine;
  counts: QueryCounts;
  rates: Rates;
  /** Tokens of the prompt, with a query in it. */
  prompt: number;
}

/** What a stage takes at most: every text is reckoned at its token limit. Not finite if it is not known. */
export interface Estimate {
  /** Queries, or pairs, and what is made of them. */
  work: string;
  tokens: number;
  /** Bytes it leaves on the disk. */
  bytes: number;
  seconds: number;
}

/** A file that the run puts on the disk beside what its stages leave: a model, or a copy of one. */
export interface PlannedFile {
  file: string;
  /** `at most`: whether it stands in the cache already is found out only when it is needed. */
  state: 'ready' | 'to fetch' | 'to make' | 'at most';
  /** Null if it is not known. */
  bytes: number | null;
}

/** A token of English in bytes of JSON. */
export const TOKEN_BYTES = 4.6;
/** What a record holds beside its text. */
const RECORD_BYTES = 240;
/** A number in f32. */
export const NUMBER_BYTES = 4;
/** Texts per second that the default encoder embeds on two cores, and its size: 6 layers of 384 dimensions. */
const [ENCODED, ENCODER_SIZE] = [300, 6 * 384 ** 2];

/** A number of a plan; null if it is not known. */
export function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** A count for people. */
export function many(count: number): string {
  return Number.isFinite(count) ? String(count) : 'unknown';
}

/** Texts that an LLM writes, each at its token limit. @param rate tokens per second */
export function written(
  work: string,
  { texts, limit, rate }: { texts: number; limit: number; rate: number },
): Estimate {
  const tokens = texts * limit;
  return { work, tokens, bytes: texts * (limit * TOKEN_BYTES + RECORD_BYTES), seconds: tokens / rate };
}

/** Seconds that an encoder takes, by its size: layers · dimensions². */
export function encodingSeconds(texts: number, { layers, dimensions }: ModelFacts): number {
  return (texts / ENCODED) * ((layers * dimensions ** 2) / ENCODER_SIZE);
}

/** Pairs that are drawn at most. */
export function pairsAtMost({ pairs }: Recipe, { counts }: Known): number {
  return Math.min(pairs.pairs, counts.train * pairs.pairsPerQuery);
}

/** Copies of a model, as lines of the plan. */
export function copiesToMake(copies: readonly ModelCopy[]): PlannedFile[] {
  return copies.map(({ copy, isThere, bytes }) => ({
    ...{ file: copy, state: isThere ? 'ready' : 'to make', bytes: finite(bytes) },
  }));
}

/** An encoder's weights as it reads them; none of a server. */
export function encoderWeights(
  { name, parameters, isServer }: ModelFacts,
  { encoder }: Pick<Recipe, 'encoder'>,
): PlannedFile[] {
  if (isServer) return [];
  const bytes = name === encoder.model && encoder.precision === 'int8' ? 1 : NUMBER_BYTES;
  return [{ file: `${name} as the encoder reads it`, state: 'at most', bytes: finite(parameters * bytes) }];
}
