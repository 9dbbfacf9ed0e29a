import type { Pooling, TextPlace, Values } from '../../nn/index.ts';

/** Texts that go through the encoder together, several in one row where they fit. */
export interface PackedBatch {
  /** Tokens of a row. */
  length: number;
  /** The texts of each row, one after another. */
  rows: number[][];
}

export interface PackingLimits {
  /** Most texts of one batch. */
  miniBatchSize?: number | undefined;
  /** Most tokens of one batch, with what is left free in its rows. */
  miniBatchTokens?: number | undefined;
}

/**
 * Packs texts into batches, the longest first. A row is as long as the first text of its batch, and takes shorter ones until they do
 * not fit any more, so that little is padded whatever the lengths are.
 * @param lengths tokens of each text
 */
export function packTexts(
  lengths: readonly number[],
  { miniBatchSize = Number.POSITIVE_INFINITY, miniBatchTokens = Number.POSITIVE_INFINITY }: PackingLimits,
): PackedBatch[] {
  const order = lengths.map((_length, text) => text).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const batches: PackedBatch[] = [];
  let [count, free]: [number, number[]] = [0, []];
  for (const text of order) {
    const size = lengths[text]!;
    let open = batches.at(-1);
    let row = free.findIndex((left) => left >= size);
    const isFull = open !== undefined && row < 0 && (open.rows.length + 1) * open.length > miniBatchTokens;
    if (open === undefined || isFull || count === miniBatchSize) {
      open = { length: size, rows: [] };
      batches.push(open);
      [count, free, row] = [0, [], -1];
    }
    if (row < 0) {
      row = open.rows.push([]) - 1;
      free.push(open.length);
    }
    open.rows[row]!.push(text);
    free[row]! -= size;
    count++;
  }
  return batches;
}

/** The texts of a batch, ascending: the order of their vectors. */
export function textsOfBatch({ rows }: PackedBatch): number[] {
  return rows.flat().sort((a, b) => a - b);
}

/** Pooling by a weighted sum of a text's tokens. */
export type TrainedPooling = Exclude<Pooling, 'max'>;

/** What of each token's hidden state goes into the vector of its text. */
const SHARE: Record<TrainedPooling, (at: number, length: number) => number> = {
  mean: (_at, length) => 1 / length,
  mean_sqrt_len: (_at, length) => 1 / Math.sqrt(length),
  cls: (at) => (at === 0 ? 1 : 0),
};

/**
 * The inputs of a packed encoder: `ids`, `positions` and `text` // [batch, sequence] int32; `pool` // [batch, slots, sequence], which
 * pools the texts of each row; `places` // [texts] int32, where in [batch · slots] the vector of each text is.
 * @returns also the place of each text's tokens, for dropout
 */
export function packedInputs(
  texts: readonly Int32Array[],
  batch: PackedBatch,
  { padId, pooling }: { padId: number; pooling: TrainedPooling },
): { values: Values; places: TextPlace[] } {
  const { length, rows } = batch;
  const shape = [rows.length, length];
  const slots = Math.max(...rows.map((row) => row.length));
  const ids = new Int32Array(rows.length * length).fill(padId);
  const [positions, text] = [new Int32Array(ids.length), new Int32Array(ids.length).fill(FREE)];
  const pool = new Float32Array(rows.length * slots * length);
  const [places, slotOf] = [[] as TextPlace[], new Map<number, number>()];
  for (const [row, members] of rows.entries()) {
    let start = 0;
    for (const [slot, number] of members.entries()) {
      const tokens = texts[number]!;
      const [first, share] = [row * length + start, (row * slots + slot) * length + start];
      ids.set(tokens, first);
      text.fill(slot, first, first + tokens.length);
      for (let at = 0; at < tokens.length; at++) {
        positions[first + at] = at;
        pool[share + at] = SHARE[pooling](at, tokens.length);
      }
      places.push({ number, start: first, length: tokens.length });
      slotOf.set(number, row * slots + slot);
      start += tokens.length;
    }
  }
  const order = Int32Array.from(textsOfBatch(batch), (number) => slotOf.get(number)!);
  return {
    values: {
      ids: { dtype: 'int32', shape, data: ids },
      positions: { dtype: 'int32', shape, data: positions },
      text: { dtype: 'int32', shape, data: text },
      pool: { dtype: 'float32', shape: [rows.length, slots, length], data: pool },
      places: { dtype: 'int32', shape: [order.length], data: order },
    },
    places,
  };
}

/** The number of the text of a token that belongs to none. */
const FREE = -1;

/** Some texts, one to a row, padded on the right: `ids` // [batch, sequence] and `lengths` // [batch], both int32. */
export function paddedInputs(
  texts: readonly Int32Array[],
  members: readonly number[],
  { longest, padId }: { longest: number; padId: number },
): Values {
  const ids = new Int32Array(members.length * longest).fill(padId);
  for (const [row, text] of members.entries()) ids.set(texts[text]!, row * longest);
  const lengths = Int32Array.from(members, (text) => texts[text]!.length);
  return {
    ids: { dtype: 'int32', shape: [members.length, longest], data: ids },
    lengths: { dtype: 'int32', shape: [members.length], data: lengths },
  };
}
