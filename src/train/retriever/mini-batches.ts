import type { Values } from '../../nn/index.ts';

/** Texts that go through the encoder together: their rows, and the tokens of the longest. */
export interface MiniBatch {
  rows: number[];
  longest: number;
}

export interface MiniBatchLimits {
  miniBatchSize: number;
  miniBatchTokens: number;
}

/**
 * Cuts texts into mini-batches, the longest first, so that those of like length stand together and little is padded.
 * @param lengths tokens of each text
 */
export function cutMiniBatches(
  lengths: readonly number[],
  { miniBatchSize, miniBatchTokens }: MiniBatchLimits,
): MiniBatch[] {
  const order = lengths.map((_length, row) => row).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const batches: MiniBatch[] = [];
  for (const row of order) {
    const open = batches.at(-1);
    const fits =
      open !== undefined &&
      open.rows.length < miniBatchSize &&
      (open.rows.length + 1) * open.longest <= miniBatchTokens;
    if (fits) open.rows.push(row);
    else batches.push({ rows: [row], longest: lengths[row]! });
  }
  return batches;
}

/** Texts padded on the right: `ids` [batch, sequence] and `lengths` [batch], both int32. */
export function paddedTexts(texts: readonly Int32Array[], { rows, longest }: MiniBatch, padId: number): Values {
  const ids = new Int32Array(rows.length * longest).fill(padId);
  const lengths = new Int32Array(rows.length);
  for (const [at, row] of rows.entries()) {
    ids.set(texts[row]!, at * longest);
    lengths[at] = texts[row]!.length;
  }
  return {
    ids: { dtype: 'int32', shape: [rows.length, longest], data: ids },
    lengths: { dtype: 'int32', shape: [rows.length], data: lengths },
  };
}
