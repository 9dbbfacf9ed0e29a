import { type Encoder, loadEncoder } from '../../src/embed/index.ts';
import { evaluateRun, TypedRun } from '../../src/measures/index.ts';
import {
  DEFAULT_ENCODER,
  loadTokenizer,
  ModelStore,
  openCheckpoint,
  type ResolvedModel,
  type TextTokenizer,
} from '../../src/models/index.ts';
import { ExactIndex, MemoryVectors } from '../../src/search/index.ts';
import { medianSeconds, REPETITIONS, type Row, runPeer, scaled, threadCount, withFolder } from '../harness.ts';
import { matrixSpeed } from '../matrix-speed.ts';
import { joinGlosses, readWordnet, type WordnetTexts } from '../wordnet.ts';

const SHORT_TEXTS = scaled(2000, 64);
const LONG_TEXTS = scaled(256, 16);
const LONG_TOKENS = 128;
const DOCUMENTS = scaled(5000, 500);
const QUERIES = scaled(300, 30);

/** Batch sizes that the peer may choose from; the first is its default. */
const PEER_BATCHES = [32, 128];

interface TextSet {
  name: string;
  texts: string[];
  /** Tokens of all texts, including special tokens but not padding. */
  tokens: number[];
}

/** Results of a precision: texts per second of each set, vectors of the first texts, nDCG@10 on WordNet. */
interface Measured {
  rates: number[];
  first: Float32Array[];
  ndcg: number;
}

/** Encodes short and long texts in f32 and int8, compared with the peer in f32, and measures the loss of int8 in nDCG@10. */
export async function run(): Promise<Row[]> {
  const model = await new ModelStore().resolve(DEFAULT_ENCODER, { kind: 'encoder' });
  const tokenizer = await loadTokenizer(model.path);
  const wordnet = await withFolder((folder) => readWordnet(folder, DOCUMENTS, QUERIES));
  const sets = await makeSets(wordnet, tokenizer);
  const f32 = await measureOurs(model, 'f32', sets, wordnet);
  const peer = runPeer<Record<string, { rate: number; first: number[][] }>>('encode.py', {
    model: model.path,
    sets: Object.fromEntries(sets.map(({ name, texts }) => [name, texts])),
    threads: threadCount(),
    batches: PEER_BATCHES,
    repetitions: REPETITIONS,
  });
  const int8 = await measureOurs(model, 'int8', sets, wordnet);
  const cost = await costModel(model);
  const speed = await matrixSpeed();
  const rows: Row[] = [];
  for (const [precision, { rates, first, ndcg }] of Object.entries({ f32, int8 })) {
    const quality = `nDCG@10 ${ndcg.toFixed(4)}${precision === 'int8' ? `, ${change(ndcg, f32.ndcg)} of f32` : ''}`;
    for (const [at, { name, texts, tokens }] of sets.entries()) {
      const operations = (tokens.reduce((sum, count) => sum + cost(count), 0) * rates[at]!) / texts.length;
      const found = peer?.[name];
      const likeness = found && `minimum cosine to the peer ${leastCosine(first[at]!, found.first).toFixed(6)}`;
      rows.push({
        what: `${name}, ${precision}`,
        unit: 'texts/s',
        largerIsBetter: true,
        ours: rates[at]!,
        peer: found?.rate,
        peerName: 'sentence-transformers f32',
        limit: { share: operations / speed[precision as keyof typeof speed], name: `the ${precision} matrix product` },
        note: [likeness, at === 0 ? quality : undefined].filter(Boolean).join('; '),
      });
    }
  }
  return rows;
}

async function makeSets({ documents }: WordnetTexts, tokenizer: TextTokenizer): Promise<TextSet[]> {
  const count = async (texts: string[]) =>
    (await tokenizer.encodeBatch(texts, { maxLength: 256 })).map(({ length }) => length);
  const short = documents.slice(0, SHORT_TEXTS).map(({ text }) => text);
  const shortTokens = await count(short);
  const mean = shortTokens.reduce((sum, tokens) => sum + tokens, 0) / short.length;
  const glosses = Math.round(LONG_TOKENS / (mean - 1));
  const long = Array.from({ length: LONG_TEXTS }, (_none, at) => joinGlosses(documents, at * glosses, glosses));
  const longTokens = await count(long);
  const describe = (tokens: number[]) => Math.round(tokens.reduce((sum, number) => sum + number, 0) / tokens.length);
  return [
    { name: `texts of ${describe(shortTokens)} tokens`, texts: short, tokens: shortTokens },
    { name: `texts of ${describe(longTokens)} tokens`, texts: long, tokens: longTokens },
  ];
}

async function measureOurs(
  model: ResolvedModel,
  precision: 'f32' | 'int8',
  sets: readonly TextSet[],
  wordnet: WordnetTexts,
): Promise<Measured> {
  const encoder = await loadEncoder(model, { precision, threads: threadCount() });
  try {
    const rates: number[] = [];
    const first: Float32Array[] = [];
    for (const { texts } of sets) {
      rates.push(texts.length / (await medianSeconds(() => encoder.encode(texts, 'document'))));
      first.push((await encoder.encode(texts, 'document')).slice(0, 16 * encoder.dimensions));
    }
    return { rates, first, ndcg: await evaluate(encoder, wordnet) };
  } finally {
    await encoder.close();
  }
}

async function evaluate(encoder: Encoder, { documents, queries, qrels }: WordnetTexts): Promise<number> {
  const texts = documents.map(({ text }) => text);
  const ids = documents.map(({ id }) => id);
  const vectors = new MemoryVectors(ids, await encoder.encode(texts, 'document'), encoder.dimensions);
  const index = await ExactIndex.open(vectors, { threads: threadCount() });
  const questions = queries.map(({ text }) => text);
  const hits = await index.search(await encoder.encode(questions, 'query'), 10);
  await index.close();
  const run = new TypedRun(
    queries.map(({ id }) => id),
    hits,
  );
  return evaluateRun(qrels, run, { measures: ['ndcg_cut_10'] }).mean.ndcg_cut_10!;
}

/** Returns the operations of the matrix products for a text by its tokens: only layers and attention. */
async function costModel(model: ResolvedModel): Promise<(tokens: number) => number> {
  const checkpoint = await openCheckpoint(model.path);
  const tensors = checkpoint.tensors();
  await checkpoint.close();
  const matrices = tensors.filter(({ name }) => /encoder\.layer\.\d+\..*weight$/.test(name));
  const weights = matrices.reduce((sum, { shape }) => sum + (shape.length === 2 ? shape[0]! * shape[1]! : 0), 0);
  const queries = matrices.filter(({ name }) => name.endsWith('attention.self.query.weight'));
  const attention = queries.reduce((sum, { shape }) => sum + 4 * shape[0]!, 0);
  return (tokens) => tokens * (2 * weights + attention * tokens);
}

function leastCosine(ours: Float32Array, theirs: readonly number[][]): number {
  const cosines = theirs.map((vector, row) => {
    const own = ours.subarray(row * vector.length, (row + 1) * vector.length);
    const dot = vector.reduce((sum, value, at) => sum + value * own[at]!, 0);
    return dot / (Math.hypot(...vector) * Math.hypot(...own));
  });
  return Math.min(...cosines);
}

function change(after: number, before: number): string {
  const difference = after - before;
  return `${difference < 0 ? '-' : '+'}${Math.abs(difference).toFixed(4)}`;
}
