import { isComplaint, oneLine } from './answer-words.ts';
import { ServerFault } from './server-fault.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Maximum number of characters quoted from a text. */
const QUOTED = 60;

/**
 * Reads an answer of `/embeddings`: one vector for each text, in the order of the texts, whatever the order in the answer. Numbers
 * may be written as JSON numbers or packed as base64.
 *
 * @param dimensions the expected width of every vector; if undefined, the first vector decides
 * @returns row-major vectors // [texts, dimensions]
 * @throws ServerFault that names the text whose vector is missing or wrong
 */
export function readEmbeddings(body: unknown, texts: readonly string[], dimensions?: number): Float32Array {
  const items = itemsOf(body);
  const places = placesOf(items, texts);
  const first = dimensions ?? decode(items[places[0]!]!, 0, texts).length;
  const vectors = new Float32Array(texts.length * first);
  places.forEach((place, row) => {
    const vector = decode(items[place]!, row, texts);
    if (vector.length !== first) {
      const wanted = dimensions === undefined ? 'the first of the batch has' : 'the first vector of the model has';
      throw broken(row, texts, `has ${vector.length} dimensions, and ${wanted} ${first}`);
    }
    vectors.set(vector, row * first);
  });
  return vectors;
}

/** Returns the number of tokens that an answer of `/embeddings` says were read; undefined if it says nothing sound. */
export function readEmbeddingTokens(body: unknown): number | undefined {
  const usage = isFields(body) && isFields(body.usage) ? body.usage : {};
  const told = usage.prompt_tokens ?? usage.total_tokens;
  return typeof told === 'number' && Number.isInteger(told) && told >= 0 ? told : undefined;
}

function itemsOf(body: unknown): Fields[] {
  const data = isFields(body) ? body.data : undefined;
  // What is null has no vector, and the text that lacks it is named later on.
  if (Array.isArray(data) && data.every((one) => one === null || isFields(one))) return data.map((one) => one ?? {});
  if (isComplaint(body)) return refuse(body);
  const shown = oneLine(JSON.stringify(body)?.slice(0, 300) ?? 'nothing', 120);
  throw new ServerFault('foreign', `answered something that holds no embeddings: ${shown}`, { status: 200 });
}

function refuse(body: unknown): never {
  throw new ServerFault('refused', 'an error under status 200', { status: 200, body });
}

/** Returns the position of each text's vector in the answer. */
function placesOf(items: readonly Fields[], texts: readonly string[]): number[] {
  const indexed = items.some(({ index }) => index !== undefined && index !== null);
  const places = new Array<number>(texts.length).fill(-1);
  items.forEach(({ index }, place) => {
    const row = placeOf(indexed ? index : place, place);
    if (typeof row !== 'number' || !Number.isInteger(row) || row < 0 || row >= texts.length) {
      const counted = `${items.length} vectors for ${texts.length} texts`;
      throw new ServerFault(
        'broken',
        `the server answered with ${counted}, one of them at index ${JSON.stringify(row)}`,
      );
    }
    if (places[row] !== -1)
      throw broken(row, texts, `was sent twice (${items.length} vectors for ${texts.length} texts)`);
    places[row] = place;
  });
  const missing = places.indexOf(-1);
  if (missing >= 0) {
    const counted = `is missing (${items.length} vectors for ${texts.length} texts)`;
    throw broken(missing, texts, counted, items.length);
  }
  return places;
}

/** Some servers write an index as a text, and some none for a text that failed. */
function placeOf(index: unknown, place: number): unknown {
  return typeof index === 'string' && /^\d+$/.test(index) ? Number(index) : (index ?? place);
}

function decode({ embedding }: Fields, row: number, texts: readonly string[]): Float32Array {
  if (typeof embedding === 'string') return check(unpack(embedding, row, texts), row, texts);
  // llama-server wraps the one pooled vector of a text in another list.
  const numbers =
    Array.isArray(embedding) && embedding.length === 1 && Array.isArray(embedding[0]) ? embedding[0] : embedding;
  if (!Array.isArray(numbers) || numbers.length === 0) throw broken(row, texts, `is not a list of numbers`);
  const wrong = numbers.findIndex((one) => typeof one !== 'number');
  if (wrong >= 0) {
    const count = numbers.filter((one) => typeof one !== 'number').length;
    const others = count === 1 ? '' : ` (and ${(count - 1).toLocaleString('en-US')} more such)`;
    throw broken(
      row,
      texts,
      `holds ${numbers[wrong] === null ? 'null or NaN' : oneLine(JSON.stringify(numbers[wrong]), 20)} at place ${wrong}${others}`,
    );
  }
  return check(Float32Array.from(numbers as number[]), row, texts);
}

function unpack(packed: string, row: number, texts: readonly string[]): Float32Array {
  const bytes = Buffer.from(packed, 'base64');
  if (bytes.length === 0 || bytes.length % 4 !== 0) throw broken(row, texts, 'is not a list of numbers');
  return Float32Array.from({ length: bytes.length / 4 }, (_, place) => bytes.readFloatLE(4 * place));
}

/** A number beyond the range of 32 bits is infinite here. */
function check(vector: Float32Array, row: number, texts: readonly string[]): Float32Array {
  const wrong = vector.findIndex((one) => !Number.isFinite(one));
  if (wrong >= 0) throw broken(row, texts, `holds ${vector[wrong]} at place ${wrong}`);
  if (vector.every((one) => one === 0)) throw broken(row, texts, 'is zero throughout');
  return vector;
}

function broken(row: number, texts: readonly string[], what: string, vectors?: number): ServerFault {
  const text = JSON.stringify(oneLine(texts[row]!, QUOTED));
  return new ServerFault('broken', `the vector of text ${row + 1} of ${texts.length} (${text}) ${what}`, {
    status: 200,
    vectors,
  });
}

function isFields(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
