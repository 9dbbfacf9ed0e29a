import { BeirDataset, documentText } from '../../src/data/index.ts';
import { type Encoder, loadEncoder } from '../../src/embed/index.ts';
import { type Generator, loadGenerator } from '../../src/generate/index.ts';
import { compareRuns, evaluateRun, type Qrels, type Run, type ScoredDocument } from '../../src/measures/index.ts';
import { DEFAULT_ENCODER, DEFAULT_GENERATOR, ModelStore } from '../../src/models/index.ts';
import { ExactIndex, MemoryVectors } from '../../src/search/index.ts';
import { createExpander, type Expander } from '../../src/serve/index.ts';
import { Random } from '../../src/system/index.ts';
import { type Row, scaled, threadCount, withFolder } from '../harness.ts';
import { readWordnet } from '../wordnet.ts';

const BUDGETS = [25, 50, 100, 250, 500, 1000];
const QUERIES = scaled(100, 4);
const OTHERS = scaled(4000, 50);
const MEASURE = 'ndcg_cut_10';
const BATCH = 64;

/** A small collection: the documents that the queries are judged on, and others. */
interface Collection {
  name: string;
  queries: { id: string; text: string }[];
  documents: { id: string; text: string }[];
  qrels: Qrels;
}

/**
 * Quality against the latency budget, a query at a time: what `llm-qe serve` does with a text that is not finished (its part counts
 * by its length) against using whole texts alone. LLM_QE_BENCH_DATASET names a BEIR folder; otherwise it is WordNet.
 */
export async function run(): Promise<Row[]> {
  const collection = await chosenCollection(process.env.LLM_QE_BENCH_DATASET);
  const store = new ModelStore();
  const encoder = await loadEncoder(await store.resolve(DEFAULT_ENCODER, { kind: 'encoder' }), {
    threads: threadCount(),
  });
  const generator = await loadGenerator(await store.resolve(DEFAULT_GENERATOR, { kind: 'generator' }), {
    ...{ threads: threadCount(), sequences: 1 },
  });
  const index = await indexOf(collection, encoder);
  try {
    const search = async (vector: Float32Array) => [...(await index.search(vector, 10))][0]!;
    const raw = new Map<string, ScoredDocument[]>();
    for (const { id, text } of collection.queries) raw.set(id, await search(await encoder.encode([text], 'query')));
    const rows = [];
    for (const budgetMs of BUDGETS) {
      rows.push(rowOf(collection, raw, await withinBudget(collection, { encoder, generator, budgetMs, search, raw })));
    }
    return rows;
  } finally {
    await Promise.all([index.close(), encoder.close(), generator.close()]);
  }
}

async function chosenCollection(folder: string | undefined): Promise<Collection> {
  if (folder === undefined) {
    return withFolder(async (place) => ({ name: 'WordNet', ...(await readWordnet(place, OTHERS, QUERIES)) }));
  }
  const dataset = await BeirDataset.open(folder);
  const qrels = await dataset.qrels('test');
  const random = new Random(42);
  const judged = [...(await dataset.queries()).values()].filter(({ id }) => qrels.has(id));
  const queries = random.shuffle(judged).slice(0, QUERIES);
  const wanted = new Set(queries.flatMap(({ id }) => [...qrels.get(id)!.keys()]));
  const documents: Collection['documents'] = [];
  let others = 0;
  for await (const document of dataset.documents()) {
    if (!wanted.has(document.id) && ++others > OTHERS) continue;
    documents.push({ id: document.id, text: documentText(document) });
  }
  return { name: folder.split('/').at(-1)!, queries, documents, qrels };
}

async function indexOf({ documents }: Collection, encoder: Encoder): Promise<ExactIndex> {
  const vectors = new Float32Array(documents.length * encoder.dimensions);
  for (let start = 0; start < documents.length; start += BATCH) {
    const texts = documents.slice(start, start + BATCH).map(({ text }) => text);
    vectors.set(await encoder.encode(texts, 'document'), start * encoder.dimensions);
  }
  const ids = documents.map(({ id }) => id);
  return ExactIndex.open(new MemoryVectors(ids, vectors, encoder.dimensions), { threads: threadCount() });
}

interface Outcome {
  budgetMs: number;
  anytime: Run;
  wholeOnly: Run;
  /** Of each query, ascending. */
  milliseconds: number[];
  whole: number;
  none: number;
}

async function withinBudget(
  { queries }: Collection,
  {
    encoder,
    generator,
    budgetMs,
    search,
    raw,
  }: {
    encoder: Encoder;
    generator: Generator;
    budgetMs: number;
    search: (vector: Float32Array) => Promise<ScoredDocument[]>;
    raw: Run;
  },
): Promise<Outcome> {
  const options = { encoder, generator, budgetMs, store: false, rule: false } as const;
  const expander: Expander = createExpander({ ...options, sampling: { maxTokens: 64 } });
  const [anytime, wholeOnly] = [new Map<string, ScoredDocument[]>(), new Map<string, ScoredDocument[]>()];
  const outcome: Outcome = { budgetMs, anytime, wholeOnly, milliseconds: [], whole: 0, none: 0 };
  for (const { id, text } of queries) {
    const started = performance.now();
    const { vector, state } = await expander.embedQuery(text);
    outcome.milliseconds.push(performance.now() - started);
    if (state === 'generated') outcome.whole++;
    if (state === 'fallback') outcome.none++;
    const hits = await search(vector);
    anytime.set(id, hits);
    wholeOnly.set(id, state === 'generated' ? hits : (raw.get(id) as ScoredDocument[]));
  }
  await expander.close();
  outcome.milliseconds.sort((a, b) => a - b);
  return outcome;
}

function rowOf({ name, qrels }: Collection, raw: Run, outcome: Outcome): Row {
  const { anytime, wholeOnly, milliseconds, whole, none, budgetMs } = outcome;
  const mean = (one: Run) => evaluateRun(qrels, one, { measures: [MEASURE] }).mean[MEASURE]!;
  const { delta, interval } = compareRuns(qrels, raw, anytime, { measure: MEASURE });
  const at = (share: number) => Math.round(milliseconds[Math.floor(share * (milliseconds.length - 1))]!);
  const change = `raw ${mean(raw).toFixed(4)}, change ${delta.toFixed(4)} (${interval.low.toFixed(4)} to ${interval.high.toFixed(4)})`;
  const parts = milliseconds.length - whole - none;
  return {
    ...{ what: `${name}, budget ${budgetMs} ms`, unit: 'nDCG@10', largerIsBetter: true },
    ...{ ours: mean(anytime), peer: mean(wholeOnly), peerName: 'whole texts only' },
    note: `${change}; whole ${whole}, part ${parts}, none ${none}; p50 ${at(0.5)} ms, p95 ${at(0.95)} ms`,
  };
}
