import type { AnswerRecord, CandidateRecord, TrainingQuery } from '../../data/index.ts';

/** A gold document with its text. */
export interface GoldDocument {
  id: string;
  text: string;
}

/** Vectors of one query's texts, each of `dimensions` numbers. */
export interface SetVectors {
  dimensions: number;
  /** // [dimensions] */
  query: Float32Array;
  /** One row per distinct text, in the order of {@link CandidateSet.texts} // [texts, dimensions] */
  texts: Float32Array;
  /** // [gold documents, dimensions] */
  gold: Float32Array;
  /** // [dimensions] */
  answer?: Float32Array | undefined;
}

/** Similarity of each distinct text to its targets, as cosines rounded to {@link SIMILARITY_DIGITS} digits. */
export interface SetSimilarities {
  /** To the nearest gold document // [texts] */
  gold: Float64Array;
  /** To the answer // [texts] */
  answer?: Float64Array | undefined;
  /** Of the query itself, to the nearest gold document. */
  queryGold: number;
}

/** Everything known about a query when its candidates are rewarded. */
export interface CandidateSet {
  query: TrainingQuery;
  /** The gold documents, the most relevant first. */
  gold: readonly GoldDocument[];
  /** The answer that an LLM gave while reading a gold document, if there is one. */
  answer?: AnswerRecord | undefined;
  /** The non-empty candidates, in the order of their indexes. */
  candidates: readonly CandidateRecord[];
  /** The distinct texts of the candidates, in the order of their first appearance. */
  texts: readonly string[];
  /** For each candidate, the index of its text in `texts` // [candidates] */
  textOf: Int32Array;
  vectors: SetVectors;
  similarities: SetSimilarities;
}

/**
 * Similarities are compared after rounding to this many digits. Equal vectors computed in batches of different shapes
 * differ in the last bits, but a tie should be a tie on every machine.
 */
export const SIMILARITY_DIGITS = 6;

/** The distinct texts of candidates, and the text of each candidate. Only identical texts are duplicates. */
export function distinctTexts(candidates: readonly Pick<CandidateRecord, 'text'>[]): {
  texts: string[];
  textOf: Int32Array;
} {
  const places = new Map<string, number>();
  const textOf = Int32Array.from(candidates, ({ text }) => {
    const place = places.get(text) ?? places.size;
    places.set(text, place);
    return place;
  });
  return { texts: [...places.keys()], textOf };
}

/** Assigns each candidate the value of its text // [texts] to [candidates] */
export function perCandidate(values: ArrayLike<number>, { textOf }: Pick<CandidateSet, 'textOf'>): Float32Array {
  return Float32Array.from(textOf, (place) => values[place]!);
}

/**
 * The cosine of each vector with its best match among the targets, rounded // [rows, dimensions], [targets, dimensions]
 * to [rows]
 */
export function bestCosines(rows: Float32Array, targets: Float32Array, dimensions: number): Float64Array {
  const lengths = (vectors: Float32Array) =>
    Float64Array.from({ length: vectors.length / dimensions }, (_value, row) =>
      Math.sqrt(dot(vectors, row * dimensions, vectors, row * dimensions, dimensions)),
    );
  const [rowLengths, targetLengths] = [lengths(rows), lengths(targets)];
  return rowLengths.map((length, row) => {
    let best = Number.NEGATIVE_INFINITY;
    for (const [target, other] of targetLengths.entries()) {
      const product = dot(rows, row * dimensions, targets, target * dimensions, dimensions);
      best = Math.max(best, length === 0 || other === 0 ? 0 : product / (length * other));
    }
    return roundSimilarity(best);
  });
}

/** Rounds to {@link SIMILARITY_DIGITS} digits. */
export function roundSimilarity(value: number): number {
  const scale = 10 ** SIMILARITY_DIGITS;
  return Math.round(value * scale) / scale;
}

function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number, length: number): number {
  let sum = 0;
  for (let at = 0; at < length; at++) sum += a[aStart + at]! * b[bStart + at]!;
  return sum;
}
