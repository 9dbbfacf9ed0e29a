import type { AnswerRecord, CandidateRecord, TrainingQuery } from '../data/index.ts';
import type { Encoder, TextRole } from '../embed/index.ts';
import {
  bestCosines,
  type CandidateSet,
  distinctTexts,
  type GoldDocument,
  type SetVectors,
} from './rewards/candidate-set.ts';

/** A candidate set before its texts are embedded. */
export interface TextSet {
  query: TrainingQuery;
  gold: readonly GoldDocument[];
  answer?: AnswerRecord | undefined;
  candidates: readonly CandidateRecord[];
}

export interface EmbedOptions {
  /** The role, and therefore the prefix, under which a candidate is embedded, as in evaluation. */
  expansionRole: TextRole;
  signal?: AbortSignal | undefined;
}

/**
 * Embeds the texts of many queries in three encoder calls: the queries; the candidates (each distinct text of a query
 * once); and the gold documents together with the answers, which are embedded as documents.
 */
export async function embedSets(
  encoder: Encoder,
  sets: readonly TextSet[],
  { expansionRole, signal }: EmbedOptions,
): Promise<CandidateSet[]> {
  const distinct = sets.map(({ candidates }) => distinctTexts(candidates));
  const queries = sets.map(({ query }) => query.text);
  const targets = sets.flatMap(({ gold, answer }) => [
    ...gold.map(({ text }) => text),
    ...(answer ? [answer.text] : []),
  ]);
  const rows = {
    query: new RowReader(await encoder.encode(queries, 'query', { signal }), encoder.dimensions),
    texts: new RowReader(
      await encoder.encode(
        distinct.flatMap(({ texts }) => texts),
        expansionRole,
        { signal },
      ),
      encoder.dimensions,
    ),
    targets: new RowReader(await encoder.encode(targets, 'document', { signal }), encoder.dimensions),
  };
  return sets.map((set, at) => {
    const { texts, textOf } = distinct[at]!;
    const vectors: SetVectors = {
      dimensions: encoder.dimensions,
      query: rows.query.take(1),
      texts: rows.texts.take(texts.length),
      gold: rows.targets.take(set.gold.length),
      answer: set.answer && rows.targets.take(1),
    };
    return { ...set, texts, textOf, vectors, similarities: compare(vectors) };
  });
}

function compare({ dimensions, query, texts, gold, answer }: SetVectors): CandidateSet['similarities'] {
  return {
    gold: bestCosines(texts, gold, dimensions),
    answer: answer && bestCosines(texts, answer, dimensions),
    queryGold: bestCosines(query, gold, dimensions)[0]!,
  };
}

/** Hands out the rows of a matrix, one block after another. */
class RowReader {
  readonly #matrix: Float32Array;
  readonly #dimensions: number;
  #next = 0;

  constructor(matrix: Float32Array, dimensions: number) {
    this.#matrix = matrix;
    this.#dimensions = dimensions;
  }

  /** // [count, dimensions] */
  take(count: number): Float32Array {
    const start = this.#next * this.#dimensions;
    this.#next += count;
    return this.#matrix.subarray(start, this.#next * this.#dimensions);
  }
}
