/** A vector, and the score of every document for it. */
export interface VectorScores {
  /** As it was embedded // [dimensions] */
  vector: Float32Array;
  /** In the order of the documents // [documents] */
  scores: Float32Array;
}

/**
 * The scores of all documents for the mean of a query's vector q and those of its expansions e_1 to e_N, from the scores of each alone:
 *
 *     score(d) = (1 - alpha) · q·d + alpha / N · (e_1·d + ... + e_N·d)
 *
 * That is the score of the combined vector, because a dot product is linear; it differs only by the rounding of 32-bit floats. With
 * `cosine`, d has unit length, and so has the combined vector: all is divided by its length. A query without expansions has the
 * weight 1.
 */
export class MixedScores {
  /** The factor of each list of scores: the query's, then those of the expansions // [1 + expansions] */
  readonly weights: readonly number[];
  readonly #lists: readonly Float32Array[];

  constructor(
    query: VectorScores,
    expansions: readonly VectorScores[],
    { alpha, similarity }: { alpha: number; similarity: 'dot' | 'cosine' },
  ) {
    const all = [query, ...expansions];
    const count = expansions.length;
    const plain = count === 0 ? [1] : [1 - alpha, ...expansions.map(() => alpha / count)];
    this.weights = similarity === 'dot' ? plain : unitWeights(all, plain);
    this.#lists = all.map(({ scores }) => scores);
  }

  /** Returns what the query and each expansion adds to the score of a document; the sum is its score // [1 + expansions] */
  shares(document: number): number[] {
    return this.weights.map((weight, at) => weight * this.#lists[at]![document]!);
  }

  /** Returns the scores of all documents // [documents] */
  all(): Float32Array {
    const scores = new Float32Array(this.#lists[0]!.length);
    const [lists, { weights }] = [this.#lists, this];
    for (let document = 0; document < scores.length; document++) {
      let sum = 0;
      for (let at = 0; at < lists.length; at++) sum += weights[at]! * lists[at]![document]!;
      scores[document] = sum;
    }
    return scores;
  }
}

/** An index that searches by cosine scores unit vectors: their scores are scaled back, and then by the length of the combined vector. */
function unitWeights(all: readonly VectorScores[], weights: readonly number[]): number[] {
  const combined = new Float64Array(all[0]!.vector.length);
  for (const [at, { vector }] of all.entries()) {
    for (let dimension = 0; dimension < combined.length; dimension++) {
      combined[dimension]! += weights[at]! * vector[dimension]!;
    }
  }
  const length = Math.hypot(...combined) || 1;
  return weights.map((weight, at) => (weight * Math.hypot(...all[at]!.vector)) / length);
}
