import { join } from 'node:path';
import { z } from 'zod';
import { type Document, documentText, type PassageRange, readExpansions, readQueries } from '../../data/index.ts';
import { EXPANSION_CACHE, expandQueries, textWarnings } from '../../generate/index.ts';
import { rankHits, type ScoredDocument } from '../../measures/index.ts';
import {
  CorpusSearch,
  checkFeedback,
  combinationOf,
  combinationOptions,
  describeCombination,
  openCorpus,
  rangeOfPassage,
  retrievalSettings,
} from '../../retrieve/index.ts';
import { isServerAddress } from '../../servers/index.ts';
import { contentKey, sha256, UsageError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { warnOfDefaultWriter } from '../default-writer.ts';
import { choosePrompt, generatorOptions, openGenerator, refuseDocuments, samplingOf } from '../open-generator.ts';

const SNIPPET_CHARACTERS = 160;

/** A single query has no id, so it cannot find itself; its few texts are all written in parallel. */
const { keepSelf: _keepSelf, ...searching } = retrievalSettings;
const { sequences: _sequences, concurrency: _concurrency, ...writing } = generatorOptions;

const options = z.object({
  corpus: z
    .string()
    .describe(
      'folder with corpus.jsonl, a file with one {"_id", "title"?, "text"} per line, or a folder of `llm-qe index build`',
    )
    .meta({ valueName: 'DIR|FILE' }),
  query: z.string().min(1).describe('text to search for').meta({ valueName: 'TEXT' }),
  expand: z.boolean().default(false).describe('let the LLM write an expansion, and show which documents it moves'),
  expansions: z
    .string()
    .optional()
    .describe(
      "with --expand: a queries file in BEIR's layout (queries_q2d.jsonl); if it contains the query, its expansions are used",
    )
    .meta({ valueName: 'FILE' }),
  retriever: z.enum(['dense', 'bm25', 'rrf']).default('dense').describe('search method; rrf fuses the other two'),
  top: z.coerce.number().int().positive().default(10).describe('number of documents to show'),
  ...writing,
  ...searching,
  ...combinationOptions,
  maxTokens: generatorOptions.maxTokens.default(128),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

/** A document found, and its rank before expansion (null: beyond the searched depth; undefined: not expanded). */
interface Found extends Omit<ScoredDocument, 'passage'> {
  rank: number;
  rankBefore?: number | null;
  /** The text that was indexed: of a search by passages, the title and the best passage. */
  text: string;
  /** Where the best passage stands in the text of the document, in characters. */
  passage?: PassageRange;
  metadata?: Document['metadata'];
}

export const command = defineCommand({
  name: 'search',
  summary: 'search your own corpus, with or without an expansion',
  description:
    'Ranks the documents of a corpus for one query. The corpus is embedded once and cached, so further queries are fast. With\n--expand, the expansion is printed, and for each document the rank that it had without the expansion.',
  options,
  examples: [
    ['llm-qe search --corpus docs.jsonl --query "how do I rotate a key"', 'dense search'],
    [
      'llm-qe search --corpus docs.jsonl --query "how do I rotate a key" --passages 150/50',
      'long documents, by their best passage of 150 words',
    ],
    [
      'llm-qe search --corpus docs.jsonl --query "how do I rotate a key" --expand --generator http://localhost:8000',
      'the same, with an expansion by the model on a server',
    ],
    [
      'llm-qe search --corpus data/scifact --query "is aspirin safe" --expand --expansions data/scifact/queries_q2d.jsonl',
      'with the expansion that `llm-qe expand` wrote for this query',
    ],
  ],
  async run(given, context) {
    refuseLoneExpansions(given);
    checkFeedback(given, given.retriever);
    const corpus = await openCorpus(given.corpus);
    const { signal, progress } = context;
    const combination = await combinationOf(given.expansions, given);
    const search = new CorpusSearch(corpus, { ...given, ...combination, keepSelf: true }, { signal, progress });
    await search.checkCorpus();
    const kept = await passagesOf(given);
    if (given.expand && kept === undefined) {
      const [generator] = given.generator;
      warnOfDefaultWriter({ generator, adapters: given.adapter }, given.corpus, context);
    }
    const expansions = given.expand ? (kept ?? (await expand(given, context))) : [];
    try {
      const retriever = await search.retriever(given.retriever);
      for (const note of retriever.notes) context.warn(note);
      const rank = async (passages: string[]) => {
        const query = { id: 'query', text: given.query, expansions: passages };
        const depth = Math.max(given.depth, given.top);
        const { run, dense } = await retriever.retrieve([query], { depth, dropSelf: false, signal: context.signal });
        return withPassages(rankHits(run.get('query') ?? []), dense?.get('query'));
      };
      const before = await rank([]);
      const hits = expansions.length === 0 ? before : await rank(expansions);
      const found = await describe(hits.slice(0, given.top), expansions.length === 0 ? undefined : before, search);
      print(found, expansions, retriever.notes, given, context);
      if (expansions.length > 0) context.say(describeCombination(combination, given.retriever));
    } finally {
      await search.close();
    }
  },
});

function refuseLoneExpansions({ expand, expansions }: Options): void {
  if (expansions === undefined || expand) return;
  throw new UsageError('--expansions works only with --expand', {
    fix: 'Add --expand, or omit --expansions.',
  });
}

/** Returns the passages that a file holds for the same query text; undefined if it holds none. @throws DataError */
async function passagesOf({ query, expansions }: Options): Promise<string[] | undefined> {
  if (expansions === undefined) return undefined;
  const wanted = oneLine(query, Number.POSITIVE_INFINITY);
  for (const { text, expansions: passages } of (await readQueries(expansions)).values()) {
    if (passages !== undefined && oneLine(text, Number.POSITIVE_INFINITY) === wanted) return passages;
  }
  return undefined;
}

/** Returns the generator's options. It writes as many texts in parallel as there are; --threads also applies to the encoder. */
function withoutShared(given: Options) {
  const isEmbedded = !given.generator.some(isServerAddress);
  const { samples } = given;
  return {
    ...given,
    sequences: isEmbedded ? samples : undefined,
    concurrency: isEmbedded ? undefined : samples,
    threads: isEmbedded ? given.threads : undefined,
  };
}

/** Returns the passages for the query. They are cached under a key of everything that determines them. */
async function expand(given: Options, context: CommandContext): Promise<string[]> {
  const prompt = await choosePrompt(given);
  refuseDocuments(prompt, 'a search');
  const generator = await openGenerator(withoutShared(given), context);
  try {
    const { fingerprint, contextSize } = generator;
    const { query, samples, seed } = given;
    const sampling = samplingOf(given);
    const key = contentKey({ fingerprint, contextSize, prompt: prompt.text, sampling, samples, seed, query });
    const { files, statistics } = await expandQueries({
      queries: [{ id: sha256(query).slice(0, 16), text: query }],
      ...{ generator, prompt, sampling, samples, seed },
      allowNoneFits: true,
      out: join(EXPANSION_CACHE.folder(), key.slice(0, 32), 'expansions.jsonl'),
      signal: context.signal,
      progress: context.progress,
    });
    const written = [...(await readExpansions(files.expansions)).values()].flat();
    const passages = written.map(({ text }) => text).filter((text) => text !== '');
    for (const warning of textWarnings(statistics, 'expansions')) context.warn(warning);
    if (passages.length === 0) context.warn('the LLM wrote nothing: the query is searched without an expansion');
    return passages;
  } finally {
    await generator.close();
  }
}

/** Adds the best passages that the dense search found. */
function withPassages(hits: readonly ScoredDocument[], dense: readonly ScoredDocument[] | undefined): ScoredDocument[] {
  const passages = new Map(dense?.map(({ id, passage }) => [id, passage]));
  return hits.map(({ id, score }) => ({ id, score, passage: passages.get(id) }));
}

async function describe(
  hits: readonly ScoredDocument[],
  before: readonly ScoredDocument[] | undefined,
  search: CorpusSearch,
): Promise<Found[]> {
  const ranks = new Map(before?.map(({ id }, row) => [id, row + 1]));
  const documents = await search.lookUp(hits.map(({ id }) => id));
  return hits.map(({ id, score, passage: number }, row) => {
    const document = documents.get(id) ?? { id, title: '', text: '' };
    const moved = before === undefined ? {} : { rankBefore: ranks.get(id) ?? null };
    const passage = rangeOfPassage(document, number, search.passages);
    const text = documentText({ ...document, text: document.text.slice(passage?.start, passage?.end) });
    const metadata = document.metadata === undefined ? {} : { metadata: document.metadata };
    return { id, score, rank: row + 1, ...moved, text, ...(passage && { passage }), ...metadata };
  });
}

function print(
  found: Found[],
  expansions: string[],
  notes: readonly string[],
  given: Options,
  context: CommandContext,
): void {
  context.json({ query: given.query, retriever: given.retriever, expansions, notes, documents: found });
  if (given.json) return;
  for (const passage of expansions) context.say(`expansion: ${oneLine(passage, Number.POSITIVE_INFINITY)}\n`);
  if (found.length === 0) context.say('nothing found');
  for (const { rank, rankBefore, score, id, text, passage } of found) {
    const place = passage === undefined ? '' : `, characters ${passage.start} to ${passage.end}`;
    context.say(`${String(rank).padStart(3)}  ${score.toFixed(4)}  ${id}${place}${describeMove(rank, rankBefore)}`);
    context.say(`     ${oneLine(text, SNIPPET_CHARACTERS)}`);
  }
}

function describeMove(rank: number, before: number | null | undefined): string {
  if (before === undefined) return '';
  if (before === null) return '  (new)';
  if (before === rank) return '  (unchanged)';
  return `  (${before > rank ? 'up' : 'down'} from ${before})`;
}

function oneLine(text: string, limit: number): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= limit ? line : `${line.slice(0, limit).trimEnd()} ...`;
}
