import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { RetrieverSource, RowCounts } from '../data/index.ts';
import type { Encoder } from '../embed/index.ts';
import {
  agreeOnSettings,
  manifestFileOf,
  OtherSettingsError,
  readStageManifest,
  type StageManifest,
  writeStageManifest,
} from '../files/index.ts';
import type { Qrels } from '../measures/index.ts';
import { isThere, type Progress, throwIfAborted } from '../system/index.ts';
import type { Corpus } from './corpus.ts';
import { journalOf, Mining, type MiningCounts, mostPositives, removeWorkFiles } from './mining/mining.ts';
import { RelevantDocuments } from './mining/relevant-documents.ts';
import { corpusOfRows } from './mining/rows-corpus.ts';
import { type MiningInput, type MiningSettings, miningSchema, rangeOf } from './mining/settings.ts';
import { SEARCH_FORMATS } from './search-formats.ts';
import type { RetrievalSettings } from './settings.ts';

export interface MineNegativesOptions {
  source: RetrieverSource;
  /** Where negatives come from. Default: the documents of the rows themselves. */
  corpus?: Corpus | undefined;
  /** Judgements by the ids of the rows, such as those of every split of the data set. */
  judgements?: Iterable<Qrels> | AsyncIterable<Qrels> | undefined;
  /** File of the rows with negatives. */
  out: string;
  settings?: MiningInput | undefined;
  retrieval: RetrievalSettings;
  /** Opens the encoder; called unless BM25 alone is searched. */
  openEncoder(): Promise<Encoder>;
  /** Whether to replace a file that was made with other settings; otherwise that is an error. Default false. */
  force?: boolean | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

export interface MineNegativesResult extends MiningCounts {
  file: string;
  manifest: string;
  /** Rows that were finished before this run. */
  reused: number;
  /** Documents that were searched. */
  documents: number;
  source: RowCounts;
}

/** Raise it if the same inputs would give other negatives for a reason that no other format covers. */
const MINING_FORMAT = 2;

/**
 * Mines hard negatives for training rows by searching a corpus. Whatever any row or judgement of the query calls relevant, and every equal
 * text, is not a negative. Rows are searched some thousands at a time and journaled; interrupted work resumes. The file appears when it
 * is complete, and its manifest tells what was dropped and why.
 *
 * @throws OtherSettingsError if the work was begun with other settings, naming them; UsageError for settings that do not go together;
 * DataError, ModelError, ResourceError; AbortedError after the signal
 */
export async function mineNegatives(options: MineNegativesOptions): Promise<MineNegativesResult> {
  const settings = miningSchema.parse(options.settings ?? {});
  const { source, signal, retrieval, force = false } = options;
  const file = resolve(options.out);
  const { relevant, total, hash, judgements } = await survey(options);
  const corpus = options.corpus ?? corpusOfRows(() => source.rows(), hash);
  const range = rangeOf(settings, mostPositives(relevant));
  const encoder = settings.retriever === 'bm25' ? undefined : await options.openEncoder();
  try {
    const wanted = {
      stage: 'mined negatives',
      settings: {
        ...{ format: MINING_FORMAT, search: SEARCH_FORMATS, ...settings, ...range, rows: hash },
        ...{ corpus: await corpus.corpusHash(signal), judgements },
        ...searchSettings(settings, retrieval, encoder),
      },
      about: { encoder: encoder?.id },
    };
    const { manifest, finished } = await agree(file, wanted, force);
    if (finished !== undefined) {
      await removeWorkFiles(file);
      return { ...finished, file, manifest: manifestFileOf(file), reused: total, source: source.counts };
    }
    const mining = await Mining.open(
      { ...options, settings: { ...settings, ...range }, corpus, encoder, relevant, hash, total },
      file,
    );
    try {
      await writeStageManifest(file, manifest);
      const reused = await mining.run();
      const facts = { ...mining.counts, documents: mining.documents };
      await mining.finish();
      await writeStageManifest(file, { ...manifest, result: { ...facts, source: source.counts } });
      await mining.close();
      await removeWorkFiles(file);
      return { ...facts, file, manifest: manifestFileOf(file), reused, source: source.counts };
    } finally {
      await mining.close();
    }
  } finally {
    await encoder?.close();
  }
}

/** Reads the rows once: what is relevant to whom, how many they are, and a hash of their content. */
async function survey({ source, judgements = [], signal }: MineNegativesOptions) {
  const relevant = new RelevantDocuments();
  const hash = createHash('sha256');
  let total = 0;
  for await (const row of source.rows()) {
    throwIfAborted(signal);
    relevant.addRow(row);
    hash.update(`${JSON.stringify(row)}\n`);
    total++;
  }
  const judged = createHash('sha256');
  for await (const qrels of judgements) {
    relevant.addJudgements(qrels);
    for (const [query, documents] of qrels) judged.update(`${JSON.stringify([query, ...documents])}\n`);
  }
  return { relevant, total, hash: hash.digest('hex'), judgements: judged.digest('hex') };
}

/** Settings of the search that decide what is found. */
function searchSettings(
  { retriever }: MiningSettings,
  { alpha, similarity, expansionRole, k1, b, analyzer, queryRepeats, rrfK }: RetrievalSettings,
  encoder: Encoder | undefined,
): Record<string, unknown> {
  const dense = { encoder: encoder?.fingerprint, alpha, similarity, expansionRole };
  const lexical = { k1, b, analyzer, queryRepeats };
  if (retriever === 'dense') return dense;
  return retriever === 'bm25' ? lexical : { ...dense, ...lexical, rrfK };
}

type Agreed = { manifest: StageManifest; finished: (MiningCounts & { documents: number }) | undefined };

async function agree(file: string, wanted: Parameters<typeof agreeOnSettings>[1], force: boolean): Promise<Agreed> {
  const fix = 'Choose another output (--out), use the settings it was begun with, or replace it with --force.';
  try {
    const { manifest, isSame } = await agreeOnSettings(file, wanted, { fix });
    const found = isSame && (await isThere(file)) ? await readStageManifest(file) : undefined;
    return { manifest, finished: found?.result as Agreed['finished'] };
  } catch (error) {
    if (!force || !(error instanceof OtherSettingsError)) throw error;
    for (const path of [file, journalOf(file), manifestFileOf(file)]) await rm(path, { force: true });
    return agree(file, wanted, false);
  }
}
