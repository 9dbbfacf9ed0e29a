import { Hono } from 'hono';
import { z } from 'zod';
import { PROMPTS } from '../../generate/index.ts';
import { defaultRetrievalSettings, type RetrievalSettings } from '../../retrieve/index.ts';
import { ExpansionStore, LatestOnly } from '../../serve/index.ts';
import { eventStream } from '../http/event-stream.ts';
import { readBody, readQuery } from '../http/request.ts';
import type { TryExamples, TryFacts, TryRankings } from '../shapes/try.ts';
import type { Studio } from '../studio.ts';
import { rankAll } from './try/rankings.ts';
import { type KnownQuery, knownQueries, queryKey, TryCorpus } from './try/try-corpus.ts';
import { typedPrompt, writeExpansions } from './try/write-expansions.ts';

const LONGEST_QUERY = 2000;
const LONGEST_PROMPT = 8000;
const MOST_SAMPLES = 16;
const LONGEST_EXPANSION = 20_000;
const MOST_ARMS = 2;
const SHOWN_EXAMPLES = 50;

const query = z
  .string()
  .max(LONGEST_QUERY, `a query has at most ${LONGEST_QUERY.toLocaleString('en')} characters`)
  .refine((text) => text.trim() !== '', 'there is no query');

const expandBody = z.object({
  query,
  writer: z.string().max(1000),
  prompt: z.string().max(LONGEST_PROMPT, `a prompt has at most ${LONGEST_PROMPT.toLocaleString('en')} characters`),
  samples: z.number().int().min(1).max(MOST_SAMPLES),
});

const rankBody = z.object({
  query,
  corpus: z.string().max(1000),
  arms: z.array(z.object({ texts: z.array(z.string().max(LONGEST_EXPANSION)).max(MOST_SAMPLES) })).max(MOST_ARMS),
  retriever: z.enum(['dense', 'bm25', 'rrf']).default('dense'),
  alpha: z.number().min(0).max(1).default(0.5),
  queryRepeats: z.number().int().min(1).max(100).default(5),
  top: z.number().int().min(1).max(50).default(10),
  filter: z.string().max(200).default(''),
});

const examplesQuery = z.object({ corpus: z.string().max(1000), like: z.string().max(LONGEST_QUERY).default('') });

/** `/api/try`: writes expansions of a query, and ranks a corpus without and with them. */
export function tryApi(studio: Studio): Hono {
  const app = new Hono();
  const store = new ExpansionStore();
  const corpora = new Opened((name) => openTry(studio, name));
  const queries = new Opened(async (name) => {
    const all = await knownQueries(studio.corpus(name).path, studio.signal);
    return { all, byKey: new Map(all.map((one) => [queryKey(one.text), one])) };
  });
  app.get('/', (context) => context.json(factsOf(studio)));
  app.get('/examples', async (context) => {
    const { corpus, like } = readQuery(context, examplesQuery);
    return context.json(examplesLike((await queries.get(corpus)).all, like));
  });
  app.post('/expand', async (context) => {
    const asked = await readBody(context, expandBody);
    const prompt = typedPrompt(asked.prompt);
    const writer = studio.writer(asked.writer);
    const { sampling, seed } = studio.options;
    return eventStream(context, studio.signal, async (send, signal) => {
      const generator = await writer.open();
      // One who left is told by the signal.
      const latest = new LatestOnly((texts: string[]) => send('texts', { texts }).catch(() => {}));
      const how = { generator, store, prompt, sampling, seed, samples: asked.samples, signal };
      const written = await writeExpansions(asked.query, { ...how, onTexts: (texts) => latest.push(texts) });
      await latest.end();
      await send('written', written);
    });
  });
  app.post('/rank', async (context) => {
    const asked = await readBody(context, rankBody);
    // Of an index folder, a newer generation may have come.
    await (await studio.index(asked.corpus)).refresh();
    if ((await corpora.get(asked.corpus)).isOld) corpora.forget(asked.corpus);
    const corpus = await corpora.get(asked.corpus);
    const known = (await queries.get(asked.corpus)).byKey.get(queryKey(asked.query));
    const { rrfK: k, depth } = studio.options.settings;
    const rankings = await rankAll(corpus, known, asked, { fusion: { k, depth }, signal: studio.signal });
    return context.json(rankings satisfies TryRankings);
  });
  return app;
}

async function openTry(studio: Studio, name: string): Promise<TryCorpus> {
  const index = await studio.index(name);
  return TryCorpus.open(studio.corpus(name).path, index, studio.options.settings, studio.signal);
}

function factsOf({ options, corpora, writers }: Studio): TryFacts {
  const { prompt, samples, settings, sampling, seed } = options;
  const published = Object.values(PROMPTS).filter((one) => !one.needsDocument && one.text !== prompt.text);
  const { alpha, queryRepeats } = settings;
  return {
    corpora: [...corpora.values()],
    writers: writers.map(({ name, generators, adapters }) => ({ name, generators, adapters })),
    prompts: [prompt, ...published].map(({ name, text }) => ({ name, text })),
    samples: Math.min(samples, MOST_SAMPLES),
    alpha: typeof alpha === 'number' ? alpha : 0.5,
    queryRepeats: typeof queryRepeats === 'number' ? queryRepeats : 5,
    ...{ encoder: settings.encoder, searchSettings: unusual(settings), sampling, seed },
    generatorOptions: [...(options.generatorOptions ?? [])],
    ...{ longestQuery: LONGEST_QUERY, longestPrompt: LONGEST_PROMPT, mostSamples: MOST_SAMPLES },
  };
}

/** What of the settings changes a ranking, is not on the screen and not as usual. */
const TOLD_SETTINGS = ['queryPrefix', 'documentPrefix', 'precision', 'pooling', 'maxLength', 'similarity'] as const;

function unusual(settings: RetrievalSettings): TryFacts['searchSettings'] {
  const usual = defaultRetrievalSettings();
  const changed = TOLD_SETTINGS.filter((name) => settings[name] !== usual[name]);
  return Object.fromEntries(changed.flatMap((name) => (settings[name] === undefined ? [] : [[name, settings[name]]])));
}

/** Judged queries first. */
function examplesLike(queries: readonly KnownQuery[], like: string): TryExamples {
  const key = queryKey(like);
  const alike = queries.filter(({ text }) => text.length <= LONGEST_QUERY && queryKey(text).includes(key));
  const shown = alike.map(({ id, text, judgements }) => ({ id, text, isJudged: judgements.size > 0 }));
  shown.sort((a, b) => Number(b.isJudged) - Number(a.isJudged));
  return { total: queries.length, queries: shown.slice(0, SHOWN_EXAMPLES) };
}

/** What is opened once for each corpus; a failure is tried again. */
class Opened<T> {
  readonly #open: (name: string) => Promise<T>;
  readonly #known = new Map<string, Promise<T>>();

  constructor(open: (name: string) => Promise<T>) {
    this.#open = open;
  }

  async get(name: string): Promise<T> {
    const opening = this.#known.get(name) ?? this.#open(name);
    this.#known.set(name, opening);
    opening.catch(() => this.forget(name));
    return opening;
  }

  forget(name: string): void {
    this.#known.delete(name);
  }
}
