import { counted } from '../../system/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import type { Engine } from './engines.ts';
import type { ModelCopy, ModelFacts } from './model-facts.ts';

/** Queries per split and documents in the corpus; Infinity if unknown. */
export interface QueryCounts {
  train: number;
  dev: number;
  test: number;
  corpus: number;
  /** Training rows of the retriever; 0 if no encoder is trained. */
  rows: number;
  /** Mean tokens of a training document; Infinity if unknown. */
  documentTokens: number;
}

/** Tokens per second; NaN if unknown. */
export interface Rates {
  /** Of the servers. */
  generation: number;
  /** Of the embedded runtime, with the LLM to align. */
  embedded: number;
  training: number;
  /** In the training of an encoder. */
  retriever: number;
}

/** The models of a recipe. */
export interface RecipeModels {
  generator: ModelFacts;
  answerGenerator: ModelFacts | undefined;
  encoder: ModelFacts;
  /** The other judging encoders. */
  judges: readonly ModelFacts[];
}

/** Everything that the estimates of the stages depend on. */
export interface Known extends RecipeModels {
  engine: Engine;
  counts: QueryCounts;
  rates: Rates;
  /** Tokens of the prompt including a query. */
  prompt: number;
}

/** The maximum cost of a stage, counting every text at its token limit. A value that is not finite is unknown. */
export interface Estimate {
  /** The work in words: queries or pairs, and what is made of them. */
  work: string;
  tokens: number;
  /** Bytes that it writes to disk. */
  bytes: number;
  seconds: number;
  /** Memory of a training in bytes, apart from that of the program itself. */
  memory?: number | undefined;
}

/** A file that the run writes in addition to the outputs of its stages: a model, or a copy of one. */
export interface PlannedFile {
  file: string;
  /** `at most`: it may already be in the cache, which is checked only when it is needed. */
  state: 'ready' | 'to download' | 'to make' | 'at most';
  /** Null if unknown. */
  bytes: number | null;
}

/** Bytes of JSON per English token. */
export const TOKEN_BYTES = 4.6;
/** Bytes of a record in addition to its text. */
const RECORD_BYTES = 240;
/** Bytes of a number in f32. */
export const NUMBER_BYTES = 4;
/** Texts per second of the default encoder on two cores, and its size: 6 layers of 384 dimensions. */
const [ENCODED, ENCODER_SIZE] = [300, 6 * 384 ** 2];

/** A number for the plan; null if unknown. */
export function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** A count for display: `1 seed`, `6,400 candidates`, `an unknown number of rows`. */
export function many(count: number, one: string, several?: string): string {
  return Number.isFinite(count)
    ? counted(count, one, several)
    : counted(2, one, several).replace('2', 'an unknown number of');
}

/** The cost of texts that an LLM writes, each at its token limit. @param rate tokens per second */
export function written(
  work: string,
  { texts, limit, rate }: { texts: number; limit: number; rate: number },
): Estimate {
  const tokens = texts * limit;
  return { work, tokens, bytes: texts * (limit * TOKEN_BYTES + RECORD_BYTES), seconds: tokens / rate };
}

/** Seconds that an encoder needs, estimated from its size. */
export function encodingSeconds(texts: number, encoder: ModelFacts): number {
  return (texts / ENCODED) * relativeSize(encoder);
}

/** The size of an encoder's layers (layers · dimensions²), as a multiple of the default encoder's. */
export function relativeSize({ layers, dimensions }: Pick<ModelFacts, 'layers' | 'dimensions'>): number {
  return (layers * dimensions ** 2) / ENCODER_SIZE;
}

/** The maximum number of drawn pairs. */
export function pairsAtMost({ pairs }: Recipe, { counts }: Known): number {
  return Math.min(pairs.pairs, counts.train * pairs.pairsPerQuery);
}

/** Copies of a model, as lines of the plan. */
export function copiesToMake(copies: readonly ModelCopy[]): PlannedFile[] {
  return copies.map(({ copy, isThere, bytes }) => ({
    ...{ file: copy, state: isThere ? 'ready' : 'to make', bytes: finite(bytes) },
  }));
}

/** The copy of an encoder's weights in the form that it reads; none for a server. */
export function encoderWeights(
  { name, parameters, isServer }: ModelFacts,
  { encoder }: Pick<Recipe, 'encoder'>,
): PlannedFile[] {
  if (isServer) return [];
  const bytes = name === encoder.model && encoder.precision === 'int8' ? 1 : NUMBER_BYTES;
  return [{ file: `${name} as the encoder reads it`, state: 'at most', bytes: finite(parameters * bytes) }];
}
