import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BEIR_DATASETS } from '../data/index.ts';
import { loadTopics } from '../evaluate/index.ts';
import {
  diskChecks,
  embeddedTokensPerSecond,
  encodingSeconds,
  finite,
  type ModelFacts,
  modelFacts,
} from '../pipeline/index.ts';
import { isServerAddress } from '../servers/index.ts';
import { contentKey, ResourceError } from '../system/index.ts';
import { resultsFolder } from './run-suite.ts';
import { isHere, openSet } from './set-data.ts';
import type { Suite, SuiteSet } from './suite-schema.ts';
import type { SuiteSystem } from './system-spec.ts';

/** What one set needs. Null is unknown. */
export interface PlannedSet {
  set: string;
  /** `here`, or `to download`. */
  state: string;
  /** Systems that have results in the folder; whether they are still valid is known only when the set is opened. */
  begun: number;
  documents: number | null;
  queries: number | null;
  /** Texts that language models write, for all systems together. */
  texts: number | null;
  /** At most, at the token limit of every text. */
  tokens: number | null;
  downloadBytes: number | null;
  diskBytes: number | null;
  /** Embedding of the corpus and writing of the texts, on two cores; searches come on top. */
  seconds: number | null;
}

export interface SuitePlan {
  suite: string;
  sets: PlannedSet[];
  total: Omit<PlannedSet, 'set' | 'state' | 'begun'>;
  /** What the totals do not include, because it is unknown. */
  unknown: string[];
  /** Needed and free space, in words; an error if a disk is too small. */
  disk: string | ResourceError;
}

export interface SuitePlanOptions {
  systems: readonly SuiteSystem[];
  out: string;
  data: string;
  limit?: number | undefined;
  seed: number;
  /** Texts per query and their token limit, from the options of a writer. */
  sizeOf(options: Readonly<Record<string, unknown>>): { texts: number; limit: number; generator: string };
}

/** Unpacked text takes about three times its zip, which is kept until it is unpacked. */
const UNPACKED = 3;
/** Bytes of a line of a TREC run, and of a document in BM25's index. */
const [LINE_BYTES, POSTING_BYTES] = [45, 400];

/** An encoder or a language model of the plan, asked for once. */
type Facts = ReadonlyMap<string, ModelFacts>;

/** Estimates what a suite needs, from counts, without downloading or running anything. */
export async function planSuite(suite: Suite, options: SuitePlanOptions): Promise<SuitePlan> {
  const facts = await factsOf(options);
  const downloaded = new Set<string>();
  const sets: PlannedSet[] = [];
  for (const set of suite.sets) sets.push(await planSet(set, options, facts, downloaded));
  /** What is known; null if nothing is. */
  const sum = (pick: (set: PlannedSet) => number | null) =>
    sets.map(pick).reduce((total, value) => (value === null ? total : (total ?? 0) + value), null);
  const total = {
    ...{ documents: sum((set) => set.documents), queries: sum((set) => set.queries), texts: sum((set) => set.texts) },
    ...{ tokens: sum((set) => set.tokens), downloadBytes: sum((set) => set.downloadBytes) },
    ...{ diskBytes: sum((set) => set.diskBytes), seconds: sum((set) => set.seconds) },
  };
  const unknown = sets.flatMap((set) => {
    const names = Object.entries(set).flatMap(([name, value]) => (value === null ? [name] : []));
    return names.length === 0 ? [] : [`${set.set}: ${names.join(', ')}`];
  });
  const [check] = diskChecks(options.out, { stages: total.diskBytes ?? 0, files: 0 });
  const disk = await check!.find().catch((error: unknown) => {
    if (error instanceof ResourceError) return error;
    throw error;
  });
  return { suite: suite.name, sets, total, unknown, disk };
}

async function factsOf({ systems, sizeOf }: SuitePlanOptions): Promise<Facts> {
  const names = systems.flatMap(({ retriever, retrieval, writer }) => [
    ...(retriever === 'bm25' ? [] : [retrieval.encoder]),
    ...(writer === undefined ? [] : [sizeOf(writer).generator]),
  ]);
  const facts = new Map<string, ModelFacts>();
  for (const name of new Set(names)) facts.set(name, await modelFacts(name, undefined));
  return facts;
}

async function planSet(
  set: SuiteSet,
  { systems, out, data, limit, seed, sizeOf }: SuitePlanOptions,
  facts: Facts,
  downloaded: Set<string>,
): Promise<PlannedSet> {
  const here = await isHere(set, data);
  const counted = here ? await countsOf(set, data, seed) : { documents: set.documents, queries: set.queries };
  const documents = counted.documents ?? Number.NaN;
  const queries = Math.min(counted.queries ?? Number.NaN, limit ?? Number.POSITIVE_INFINITY);
  const writers = distinct(systems.flatMap(({ writer }) => (writer === undefined ? [] : [sizeOf(writer)])));
  const encoders = distinct(
    systems.filter(({ retriever }) => retriever !== 'bm25').map(({ retrieval }) => retrieval.encoder),
  );
  const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);
  const texts = total(writers.map((one) => one.texts * queries));
  const tokens = total(writers.map((one) => one.texts * one.limit * queries));
  const download = here ? 0 : downloadOf(set, downloaded);
  const vectors = total(encoders.map((name) => documents * (facts.get(name)?.dimensions ?? Number.NaN) * 4));
  const postings = systems.some(({ retriever }) => retriever !== 'dense') ? documents * POSTING_BYTES : 0;
  const runs = total(systems.map(({ retrieval }) => queries * retrieval.depth * LINE_BYTES));
  const embedding = total(encoders.map((name) => secondsToEncode(documents, name, facts)));
  const writing = total(writers.map((one) => (one.texts * one.limit * queries) / rateOf(one.generator, facts)));
  return {
    ...{ set: set.name, state: here ? 'here' : 'to download', begun: await begun(out, set.name, systems) },
    ...{ documents: finite(documents), queries: finite(queries), texts: finite(texts), tokens: finite(tokens) },
    downloadBytes: finite(download),
    diskBytes: finite(download * (1 + UNPACKED) + vectors + postings + runs),
    seconds: finite(embedding + writing),
  };
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Map(values.map((value) => [contentKey(value), value])).values()];
}

async function countsOf(set: SuiteSet, data: string, seed: number) {
  const dataset = await openSet(set, { data, offline: true });
  const { queries } = await loadTopics(dataset, set.split, { seed });
  return { documents: set.documents ?? (await dataset.count()), queries: queries.length };
}

/** The zip of a group of sets is downloaded once. */
function downloadOf({ source }: SuiteSet, downloaded: Set<string>): number {
  if (source.kind !== 'beir') return Number.NaN;
  if (downloaded.has(source.name)) return 0;
  downloaded.add(source.name);
  return BEIR_DATASETS[source.name]?.bytes ?? Number.NaN;
}

function secondsToEncode(documents: number, encoder: string, facts: Facts): number {
  const known = facts.get(encoder);
  return known === undefined || isServerAddress(encoder) ? Number.NaN : encodingSeconds(documents, known);
}

/** Tokens per second; NaN for servers and unknown models. */
function rateOf(generator: string, facts: Facts): number {
  if (isServerAddress(generator)) return Number.NaN;
  return embeddedTokensPerSecond(facts.get(generator)?.parameters ?? Number.NaN);
}

async function begun(out: string, set: string, systems: readonly SuiteSystem[]): Promise<number> {
  const folder = resultsFolder(out, set);
  const names = await readdir(join(folder)).catch((): string[] => []);
  return systems.filter(({ name }) => names.some((one) => one.startsWith(`${name}-`))).length;
}
