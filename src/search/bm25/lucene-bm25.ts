/** BM25's two settings. */
export interface Bm25Settings {
  /** Saturation of repeated terms. */
  k1: number;
  /** Weight of the length normalisation, 0 to 1. */
  b: number;
}

/** Anserini's and Pyserini's defaults. */
export const ANSERINI_BM25: Bm25Settings = { k1: 0.9, b: 0.4 };

const f = Math.fround;

/** Lengths below this are kept exactly (SmallFloat.NUM_FREE_VALUES). */
const EXACT_LENGTHS = 24;

/**
 * Returns a document's length as Lucene stores it in one byte: exact below 24, then four significant bits
 * (SmallFloat.intToByte4 and back).
 */
export function lossyLength(length: number): number {
  const rest = length - EXACT_LENGTHS;
  if (rest < 8) return length;
  const shift = 28 - Math.clz32(rest);
  return EXACT_LENGTHS + (rest >>> shift) * 2 ** shift;
}

/**
 * BM25Similarity.idf: ln(1 + (N - n + 0.5) / (n + 0.5)), as a 32-bit float.
 * @param documents documents with at least one term
 * @param holders documents with the term
 */
export function inverseDocumentFrequency(documents: number, holders: number): number {
  return f(Math.log(1 + (documents - holders + 0.5) / (holders + 0.5)));
}

/**
 * 1 / (k1 · ((1 - b) + b · length / average)) in 32-bit steps (BM25Similarity.scorer's cache).
 * @param length number of terms of the document
 * @param average mean length of the documents with at least one term
 */
export function inverseNorm(length: number, average: number, { k1, b }: Bm25Settings): number {
  const share = f(f(f(b) * lossyLength(length)) / f(average));
  return f(1 / f(f(k1) * f(f(1 - f(b)) + share)));
}

/**
 * The denominator 1 + frequency · inverse norm. A term of weight w (its idf times its count in the query) adds
 * w - w / denominator to a document's score, in 32-bit steps (BM25Similarity.BM25Scorer.score; there is no factor k1 + 1).
 */
export function denominator(frequency: number, inverse: number): number {
  return f(1 + f(frequency * inverse));
}
