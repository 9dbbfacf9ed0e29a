import type { Value, Values } from '../../nn/index.ts';

/** A prompt and its completions, as token ids. */
export interface PromptedText {
  prompt: Int32Array;
  completions: readonly Int32Array[];
}

/** A micro-batch as rows of tokens, and the output positions of each completion's log-probabilities. */
export interface PackedTexts {
  /** `tokens`, `positions`, `text`, `branch` // [batch, sequence]; `scored`, `targets` // [chunks, rows]; all int32 */
  values: Values;
  /** Total number of scored places, including the padding of the last chunk: chunks · rows. */
  places: number;
  /** By text and completion: the first scored place and the number of tokens. */
  completions: { start: number; length: number }[][];
}

/**
 * Maximum size of a chunk's table of logits, [rows, vocabulary]: 64 MiB in 32-bit floats. About three such tables are
 * in memory at once, whatever the length of the texts.
 */
const MOST_LOGITS = 2 ** 24;

/** The row width at which attention costs about as much as everything else. */
const ATTENTION_WIDTH = 1024;

/**
 * The number of tokens that a text takes in a row: its prompt once, and each completion without its last token, which
 * is only predicted.
 */
export function packedLength({ prompt, completions }: PromptedText): number {
  return completions.reduce((sum, { length }) => sum + Math.max(0, length - 1), prompt.length);
}

/**
 * Packs texts into rows. A prompt occurs once. Its completions follow as branches that do not see each other, each with
 * the positions it would have directly after the prompt. Several texts share a row, which reduces padding; results are
 * the same as for each text alone. Only completion tokens are scored.
 * @param vocabulary its size, which bounds the rows of a chunk
 */
export function packTexts(texts: readonly PromptedText[], vocabulary: number): PackedTexts {
  const { rows, width, starts } = layOut(texts.map(packedLength));
  const shape = [rows, width];
  const [tokens, positions, branch] = [0, 0, 0].map(() => new Int32Array(rows * width)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  const text = new Int32Array(rows * width).fill(-1);
  const scoring = new Scoring(texts, vocabulary);
  texts.forEach(({ prompt, completions }, index) => {
    let at = starts[index]!;
    text.fill(index, at, at + packedLength(texts[index]!));
    const put = (ids: Int32Array, first: number, ofBranch: number) => {
      tokens.set(ids, at);
      for (let place = 0; place < ids.length; place++) positions[at + place] = first + place;
      branch.fill(ofBranch, at, at + ids.length);
      at += ids.length;
    };
    put(prompt, 0, 0);
    const promptEnd = at - 1;
    completions.forEach((ids, completion) => {
      scoring.add(ids, promptEnd, at);
      put(ids.subarray(0, -1), prompt.length, completion + 1);
    });
  });
  const values = { tokens, positions, text, branch };
  const inputs = Object.entries(values).map(([name, data]) => [name, int32(shape, data)] as const);
  return {
    values: { ...Object.fromEntries(inputs), ...scoring.values() },
    places: scoring.places,
    completions: scoring.completionsOf(texts),
  };
}

/** Collects the positions at which completion tokens are predicted, in chunks of equal size. */
class Scoring {
  readonly places: number;
  readonly #shape: [chunks: number, rows: number];
  readonly #scored: Int32Array;
  readonly #targets: Int32Array;
  #used = 0;

  constructor(texts: readonly PromptedText[], vocabulary: number) {
    const count = texts.flatMap(({ completions }) => completions).reduce((sum, { length }) => sum + length, 0);
    const most = Math.max(1, Math.floor(MOST_LOGITS / vocabulary));
    const chunks = Math.max(1, Math.ceil(count / most));
    const rows = Math.max(1, Math.ceil(count / chunks));
    this.#shape = [chunks, rows];
    this.places = chunks * rows;
    this.#scored = new Int32Array(this.places);
    this.#targets = new Int32Array(this.places);
  }

  /** The first token is predicted at the end of the prompt, each further one at the token before it. */
  add(ids: Int32Array, promptEnd: number, start: number): void {
    this.#targets.set(ids, this.#used);
    for (let index = 0; index < ids.length; index++) {
      this.#scored[this.#used++] = index === 0 ? promptEnd : start + index - 1;
    }
  }

  values(): Values {
    return { scored: int32(this.#shape, this.#scored), targets: int32(this.#shape, this.#targets) };
  }

  completionsOf(texts: readonly PromptedText[]): PackedTexts['completions'] {
    let next = 0;
    return texts.map(({ completions }) =>
      completions.map(({ length }) => {
        const start = next;
        next += length;
        return { start, length };
      }),
    );
  }
}

function int32(shape: readonly number[], data: Int32Array): Value {
  return { dtype: 'int32', shape, data };
}

interface Layout {
  rows: number;
  width: number;
  /** The start of each text in the flattened rows. */
  starts: number[];
}

/** Chooses a row width: narrow rows cost less attention, wide rows less padding. */
function layOut(lengths: readonly number[]): Layout {
  const longest = Math.max(1, ...lengths);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  let best = firstFit(lengths, longest);
  for (let rows = 1; total / rows > longest; rows++) {
    const layout = firstFit(lengths, Math.ceil(total / rows));
    if (costOf(layout) < costOf(best)) best = layout;
  }
  return best;
}

function costOf({ rows, width }: Layout): number {
  return rows * width * (1 + width / ATTENTION_WIDTH);
}

/** First-fit decreasing: places the longest text first, each into the first row with room. */
function firstFit(lengths: readonly number[], width: number): Layout {
  const used: number[] = [];
  const starts = new Array<number>(lengths.length);
  const order = lengths.map((_, index) => index).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  for (const index of order) {
    const length = lengths[index]!;
    const found = used.findIndex((filled) => filled + length <= width);
    const row = found === -1 ? used.push(0) - 1 : found;
    starts[index] = row * width + used[row]!;
    used[row] = used[row]! + length;
  }
  return { rows: used.length, width: Math.max(...used), starts: narrowed(starts, width, Math.max(...used)) };
}

/** The same places in rows of another width. */
function narrowed(starts: readonly number[], width: number, narrower: number): number[] {
  return starts.map((start) => Math.floor(start / width) * narrower + (start % width));
}
