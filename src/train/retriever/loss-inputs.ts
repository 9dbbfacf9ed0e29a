import type { Value, Values } from '../../nn/index.ts';
import type { BatchQuery, ContrastiveBatch } from './contrastive-batch.ts';
import type { RetrieverTrainingSettings } from './retriever-settings.ts';

/** Stands for minus infinity, so that 0 times it is 0. */
export const FORBIDDEN = -1e9;

export type LossInputSettings = Pick<RetrieverTrainingSettings, 'method' | 'teacherTemperature'>;

/**
 * Returns the inputs of the loss other than the vectors. A document is not a negative of a query that any judgement calls it relevant
 * for; documents are compared by id and by text.
 * @param texts rows of the vectors that the queries are made of, of all rows
 * @param total what the loss is a mean over
 */
export function lossInputs(
  batch: ContrastiveBatch,
  { texts, total }: { texts: number; total: number },
  settings: LossInputSettings,
): { values: Values; negatives: number } {
  const { queries, documents } = batch;
  const table = (columns: number, fill: (row: Float32Array, query: BatchQuery, index: number) => void): Value => {
    const data = new Float32Array(queries.length * columns);
    for (const [index, query] of queries.entries()) {
      fill(data.subarray(index * columns, (index + 1) * columns), query, index);
    }
    return { dtype: 'float32', shape: [queries.length, columns], data };
  };
  const square = (fill: (row: Float32Array, query: BatchQuery) => void) => table(documents.length, fill);
  let negatives = 0;
  const bias = square((row, query) => {
    const forbidden = forbiddenColumns(query, documents);
    for (const column of forbidden) row[column] = FORBIDDEN;
    negatives += documents.length - 1 - forbidden.length;
  });
  const values: Values = {
    mix: table(texts, (row, query) => {
      for (const { row: at, weight } of query.texts) row[at] = row[at]! + weight;
    }),
    targets: int32(queries.map(({ target }) => target)),
    share: scalar(1 / total),
    bias,
    own: square((row, { target }) => row.fill(1, target, target + 1)),
  };
  if (settings.method === 'margin-mse') Object.assign(values, marginInputs(queries, square, queries.length / total));
  if (settings.method === 'kl') Object.assign(values, listInputs(square, settings.teacherTemperature));
  return { values, negatives };
}

/** The documents of a batch, other than its positive, that may not count as negatives of a query: they are relevant to it. */
export function forbiddenColumns(
  { example, target }: Pick<BatchQuery, 'example' | 'target'>,
  documents: ContrastiveBatch['documents'],
): number[] {
  const judged = new Set(example.judged);
  return [...documents.keys()].filter((column) => {
    const { key, id } = documents[column]!;
    return column !== target && (judged.has(key) || (id !== undefined && judged.has(idKey(id))));
  });
}

/** How the id of a document stands among what is judged, where hashes of texts stand too. */
export function idKey(id: string): string {
  return `id ${id}`;
}

type Square = (fill: (row: Float32Array, query: BatchQuery) => void) => Value;

/** Each pair of a query with one of its negatives counts alike. */
function marginInputs(queries: readonly BatchQuery[], square: Square, part: number): Values {
  const pairs = queries.reduce((sum, { negatives }) => sum + negatives.length, 0);
  return {
    pairs: square((row, { negatives }) => {
      for (const { column } of negatives) row[column] = row[column]! + part / Math.max(1, pairs);
    }),
    margins: square((row, { negatives, positiveScore }) => {
      for (const { column, score } of negatives) row[column] = positiveScore! - score!;
    }),
  };
}

function listInputs(square: Square, temperature: number): Values {
  let entropy = 0;
  const group = square((row, { target, negatives }) => {
    row.fill(FORBIDDEN);
    for (const column of [target, ...negatives.map((one) => one.column)]) row[column] = 0;
  });
  const probabilities = square((row, { target, negatives, positiveScore }) => {
    const members = new Map([
      ...negatives.map(({ column, score }) => [column, score!] as const),
      [target, positiveScore!],
    ]);
    const top = Math.max(...members.values());
    const odds = [...members.values()].map((score) => Math.exp((score - top) / temperature));
    const sum = odds.reduce((one, other) => one + other);
    [...members.keys()].forEach((column, index) => {
      const share = odds[index]! / sum;
      row[column] = share;
      if (share > 0) entropy += share * Math.log(share);
    });
  });
  return { group, probabilities, entropy: scalar(entropy) };
}

export function int32(data: readonly number[]): Value {
  return { dtype: 'int32', shape: [data.length], data: Int32Array.from(data) };
}

function scalar(value: number): Value {
  return { dtype: 'float32', shape: [], data: Float32Array.of(value) };
}
