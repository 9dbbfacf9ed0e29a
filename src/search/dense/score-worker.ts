import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Answer, Serve } from '../../system/index.ts';
import { TopScores } from '../top-scores.ts';
import type { ScoreReply, ScoreRequest, ScoreWorkerData, ThreadHits } from './score-protocol.ts';
import type { VectorNumbers } from './vector-format.ts';

/** Queries in one matrix product: with the rows of a chunk, 8 MB of scores. */
const QUERIES_PER_PRODUCT = 512;

/**
 * The runtime sums narrow products, and the last columns of products of odd width, in another order than the rest. Equal
 * vectors would then get scores that differ in the last bit. Therefore a chunk is padded with zeros to full blocks of
 * rows, and to a minimum number of them.
 */
const ROW_BLOCK = 64;
const FEWEST_ROWS = 128;

/** A single query would be summed in another order than one among others, so it is computed twice. */
const FEWEST_QUERIES = 2;

/** Rows to score, as a request brings them. */
type Chunk = Pick<Extract<ScoreRequest, { kind: 'chunk' }>, 'start' | 'vectors' | 'scales'>;

class Stopped extends Error {}

/** A row that cannot be scored. */
class BrokenRow extends Error {
  readonly row: number;

  constructor(row: number) {
    super(`row ${row}`);
    this.row = row;
  }
}

export const serve: Serve<ScoreWorkerData, ScoreRequest, ScoreReply> = async (data, stopped) => {
  const session = await InferenceSession.create(data.model, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const scorer = new Scorer(session, data, stopped);
  return {
    answer: async (request) => handOver(await scorer.answer(request).catch(describeFailure)),
    end: () => session.release(),
  };
};

/** Scores chunks of the corpus against all queries and keeps the best hits: one thread's part of an exact search. */
class Scorer {
  readonly #session: InferenceSession;
  readonly #dimensions: number;
  readonly #cosine: boolean;
  readonly #stopped: () => boolean;
  readonly #kept: Chunk[] = [];
  #queries: Float32Array = new Float32Array(0);
  #tops: TopScores[] = [];
  #places: Uint32Array | undefined;

  constructor(session: InferenceSession, { dimensions, cosine }: ScoreWorkerData, stopped: () => boolean) {
    this.#session = session;
    this.#dimensions = dimensions;
    this.#cosine = cosine;
    this.#stopped = stopped;
  }

  async answer(request: ScoreRequest): Promise<ScoreReply> {
    if (request.kind === 'take') return { kind: 'hits', hits: this.#take() };
    if (request.kind === 'queries') this.#begin(request);
    else if (request.kind === 'kept') {
      for (const chunk of this.#kept) await this.#scoreChunk(chunk);
    } else {
      const { vectors, start } = request;
      if (this.#cosine && vectors instanceof Float32Array) normalizeRows(vectors, this.#dimensions, start);
      await this.#scoreChunk(request);
      if (request.keep) this.#kept.push(request);
    }
    return { kind: 'done' };
  }

  #begin({ queries, k, places }: Extract<ScoreRequest, { kind: 'queries' }>): void {
    this.#queries = queries;
    this.#places = places;
    const count = queries.length / this.#dimensions;
    this.#tops = Array.from({ length: count }, () => new TopScores(k, places === undefined ? 'keep' : 'number'));
  }

  async #scoreChunk({ start, vectors, scales }: Chunk): Promise<void> {
    const dimensions = this.#dimensions;
    const rows = vectors.length / dimensions;
    const width = Math.max(FEWEST_ROWS, Math.ceil(rows / ROW_BLOCK) * ROW_BLOCK);
    const documents = {
      corpus: new Tensor(tensorType(vectors), fillUp(vectors, width * dimensions), [width, dimensions]),
      ...(scales && { scales: new Tensor('float32', fillUp(scales, width), [width]) }),
    };
    for (let first = 0; first < this.#tops.length; first += QUERIES_PER_PRODUCT) {
      const count = Math.min(QUERIES_PER_PRODUCT, this.#tops.length - first);
      if (this.#stopped()) throw new Stopped();
      const block = this.#queries.subarray(first * dimensions, (first + count) * dimensions);
      const height = Math.max(FEWEST_QUERIES, count);
      const queries = new Tensor('float32', fillUp(block, height * dimensions), [height, dimensions]);
      const { scores } = await this.#session.run({ queries, ...documents });
      this.#collect((scores!.data as Float32Array).subarray(0, count * width), first, count, start, rows);
    }
  }

  /** @param scores // [count, padded rows] */
  #collect(scores: Float32Array, first: number, count: number, start: number, rows: number): void {
    const width = scores.length / count;
    refuseBrokenRows(scores.subarray(0, rows), start);
    const places = this.#places;
    for (let query = 0; query < count; query++) {
      const top = this.#tops[first + query]!;
      const begin = query * width;
      let threshold = top.threshold;
      for (let row = 0; row < rows; row++) {
        const score = scores[begin + row]!;
        if (score < threshold) continue;
        top.offer(score, places === undefined ? start + row : places[start + row]!);
        threshold = top.threshold;
      }
    }
  }

  #take(): ThreadHits {
    const ranked = this.#tops.map((top) => top.take());
    const counts = Uint32Array.from(ranked, ({ scores }) => scores.length);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const hits: ThreadHits = {
      scores: new Float32Array(total),
      numbers: new Uint32Array(total),
      counts,
      overflowed: Uint8Array.from(this.#tops, (top) => (top.overflowed ? 1 : 0)),
    };
    let at = 0;
    for (const { scores, numbers } of ranked) {
      hits.scores.set(scores, at);
      hits.numbers.set(numbers, at);
      at += scores.length;
    }
    this.#tops = [];
    return hits;
  }
}

/** A number that is not finite affects all scores of a row, so checking one query is enough. */
function refuseBrokenRows(scores: Float32Array, start: number): void {
  for (let row = 0; row < scores.length; row++) {
    if (!Number.isFinite(scores[row])) throw new BrokenRow(start + row);
  }
}

/** Normalises each row to length 1, in place. Zero rows stay zero. */
function normalizeRows(vectors: Float32Array, dimensions: number, start: number): void {
  for (let begin = 0; begin < vectors.length; begin += dimensions) {
    let sum = 0;
    for (let at = begin; at < begin + dimensions; at++) sum += vectors[at]! * vectors[at]!;
    if (!Number.isFinite(sum)) throw new BrokenRow(start + begin / dimensions);
    if (sum === 0) continue;
    const scale = 1 / Math.sqrt(sum);
    for (let at = begin; at < begin + dimensions; at++) vectors[at]! *= scale;
  }
}

/** Pads with zeros to the length. */
function fillUp<N extends VectorNumbers>(vectors: N, length: number): N {
  if (vectors.length >= length) return vectors;
  const filled = new (vectors.constructor as new (length: number) => N)(length);
  filled.set(vectors);
  return filled;
}

function tensorType(vectors: VectorNumbers): 'float32' | 'float16' | 'int8' {
  if (vectors instanceof Float32Array) return 'float32';
  return vectors instanceof Uint16Array ? 'float16' : 'int8';
}

function describeFailure(error: unknown): ScoreReply {
  if (error instanceof Stopped) return { kind: 'stopped' };
  if (error instanceof BrokenRow) return { kind: 'broken-row', row: error.row };
  return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) };
}

function handOver(reply: ScoreReply): Answer<ScoreReply> {
  if (reply.kind !== 'hits') return { value: reply };
  return { value: reply, transfer: Object.values(reply.hits).map((array) => array.buffer as ArrayBuffer) };
}
