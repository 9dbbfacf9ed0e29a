import { type BeirDataset, documentText } from '../data/index.ts';
import { analyzeEnglish } from '../search/index.ts';
import { DEFAULT_SEED, Random, throwIfAborted } from '../system/index.ts';
import { hashRuns, hashWords, RunIndex, wordsOf } from './token-runs.ts';
import type { Topics } from './topics.ts';

/** A run of this many words is not written twice by chance: the length that audits of training data use (GPT-3, section C). */
const RUN = 13;
/** A shorter sentence counts if all of it is found. */
const SHORTEST_SENTENCE = 6;
/** Default length of the n-grams whose overlap is measured. */
const NGRAM = 3;
/** Documents that are drawn at random from the corpus, as a baseline. */
const SAMPLED = 1000;
/** Relevant documents of one query that are read, the most relevant first. */
const MOST_RELEVANT = 50;
const EXAMPLES = 10;

export interface LeakAudit {
  queries: number;
  expansions: number;
  /** Share of an expansion's n-grams that occur in documents, as a mean over the queries with a relevant document. */
  overlap: { n: number; queries: number; relevant: number; others: number };
  /** Distinct terms of BM25 (English) that an expansion adds to its query, and the share of the query's that it repeats; means. */
  terms: { added: number; repeated: number };
  /** Expansions of which a run of 13 words, or a sentence, is in the corpus and not in the query. */
  found: {
    expansions: number;
    share: number;
    /** How many of them are in a document that is relevant to the query. */
    inRelevant: number;
    examples: { query: string; document: string; isRelevant: boolean; text: string }[];
  };
}

export interface LeakAuditOptions {
  ngram?: number | undefined;
  /** Seed of the choice of other documents. */
  seed?: number | undefined;
  signal?: AbortSignal | undefined;
  onDocument?: (() => void) | undefined;
}

/** An expansion, and the n-grams of it that its query lacks. */
interface Suspect {
  query: string;
  text: string;
  grams: Set<number>;
}

/**
 * Tells how much expansions say what the corpus says: an LLM that has read the collection, or a prompt that shows documents, makes gains
 * that other data will not show. Reads the corpus once.
 *
 * @param topics with expansions
 */
export async function auditLeaks(
  dataset: BeirDataset,
  topics: Topics,
  { ngram = NGRAM, seed = DEFAULT_SEED, signal, onDocument }: LeakAuditOptions = {},
): Promise<LeakAudit> {
  const suspects: Suspect[] = [];
  const index = new RunIndex();
  for (const { id, text, expansions } of topics.queries) {
    const asked = hashWords(wordsOf(text));
    for (const expansion of expansions) {
      addRuns(index, suspects.length, expansion, asked);
      const grams = new Set(hashRuns(hashWords(wordsOf(expansion)), ngram));
      for (const gram of hashRuns(asked, ngram)) grams.delete(gram);
      suspects.push({ query: id, text: expansion, grams });
    }
  }
  const reading = new CorpusReading(topics, suspects, { index, ngram, seed });
  for await (const document of dataset.documents(signal)) {
    throwIfAborted(signal);
    reading.add(document.id, hashWords(wordsOf(documentText(document))));
    onDocument?.();
  }
  return {
    ...{ queries: topics.queries.length, expansions: suspects.length },
    ...{ overlap: { n: ngram, ...reading.overlap() }, terms: compareTerms(topics), found: reading.found() },
  };
}

/** Adds the runs of 13 words, and the sentences that are shorter. */
function addRuns(index: RunIndex, number: number, text: string, asked: Float64Array): void {
  index.add(number, hashWords(wordsOf(text)), RUN, new Set(hashRuns(asked, RUN)));
  for (const sentence of text.split(/[.!?\n]+/)) {
    const words = hashWords(wordsOf(sentence));
    if (words.length < SHORTEST_SENTENCE || words.length >= RUN) continue;
    index.add(number, words, words.length, new Set(hashRuns(asked, words.length)));
  }
}

/** What is remembered of the corpus while it is read. */
class CorpusReading {
  readonly #topics: Topics;
  readonly #suspects: readonly Suspect[];
  readonly #index: RunIndex;
  readonly #ngram: number;
  readonly #random: Random;
  /** N-grams of documents that are relevant to some query. */
  readonly #relevant = new Map<string, Set<number> | undefined>();
  /** A random choice of documents, with their n-grams. */
  readonly #sampled: { id: string; grams: Set<number> }[] = [];
  /** Where each suspect was found: a relevant document, if there is one. */
  readonly #found = new Map<number, { document: string; isRelevant: boolean }>();
  #read = 0;

  constructor(
    topics: Topics,
    suspects: readonly Suspect[],
    { index, ngram, seed }: { index: RunIndex; ngram: number; seed: number },
  ) {
    [this.#topics, this.#suspects, this.#index, this.#ngram] = [topics, suspects, index, ngram];
    this.#random = new Random(seed);
    for (const { id } of topics.queries)
      for (const document of this.#relevantTo(id)) this.#relevant.set(document, undefined);
  }

  add(id: string, words: Float64Array): void {
    for (const number of this.#index.find(words)) {
      const isRelevant = (this.#topics.qrels.get(this.#suspects[number]!.query)?.get(id) ?? 0) > 0;
      if (isRelevant || !this.#found.has(number)) this.#found.set(number, { document: id, isRelevant });
    }
    const isWanted = this.#relevant.has(id);
    // Reservoir sampling: every document has the same chance.
    const place = this.#read < SAMPLED ? this.#read : this.#random.below(this.#read + 1);
    this.#read++;
    if (!isWanted && place >= SAMPLED) return;
    const grams = new Set(hashRuns(words, this.#ngram));
    if (isWanted) this.#relevant.set(id, grams);
    if (place < SAMPLED) this.#sampled[place] = { id, grams };
  }

  /** Compares each query's expansions with its relevant documents, and with as many others. */
  overlap(): { queries: number; relevant: number; others: number } {
    const shares: { relevant: number; others: number }[] = [];
    for (const { id } of this.#topics.queries) {
      const grams = this.#suspects.filter(({ query }) => query === id).map((suspect) => suspect.grams);
      const relevant = this.#relevantTo(id).flatMap((document) => this.#relevant.get(document) ?? []);
      if (grams.length === 0 || relevant.length === 0) continue;
      const others = this.#others(id, relevant.length);
      shares.push({ relevant: meanOf(grams, relevant), others: meanOf(grams, others) });
    }
    const mean = (pick: (one: { relevant: number; others: number }) => number) =>
      shares.reduce((sum, one) => sum + pick(one), 0) / Math.max(1, shares.length);
    return { queries: shares.length, relevant: mean((one) => one.relevant), others: mean((one) => one.others) };
  }

  found(): LeakAudit['found'] {
    const all = [...this.#found].sort(([a], [b]) => a - b);
    const examples = all.slice(0, EXAMPLES).map(([number, { document, isRelevant }]) => {
      const { query, text } = this.#suspects[number]!;
      return { query, document, isRelevant, text };
    });
    return {
      expansions: all.length,
      share: all.length / Math.max(1, this.#suspects.length),
      inRelevant: all.filter(([, { isRelevant }]) => isRelevant).length,
      examples,
    };
  }

  #relevantTo(query: string): string[] {
    const grades = [...(this.#topics.qrels.get(query) ?? [])].filter(([, grade]) => grade > 0);
    return grades
      .sort(([, a], [, b]) => b - a)
      .slice(0, MOST_RELEVANT)
      .map(([document]) => document);
  }

  #others(query: string, count: number): Set<number>[] {
    const qrels = this.#topics.qrels.get(query);
    const others = this.#sampled.filter(({ id }) => (qrels?.get(id) ?? 0) <= 0);
    return this.#random
      .shuffle([...others])
      .slice(0, count)
      .map(({ grams }) => grams);
  }
}

/** Returns the share of n-grams that occur in at least one of the documents, as a mean over texts. */
function meanOf(texts: readonly ReadonlySet<number>[], documents: readonly ReadonlySet<number>[]): number {
  const shares = texts
    .filter((grams) => grams.size > 0)
    .map((grams) => {
      const known = [...grams].filter((gram) => documents.some((document) => document.has(gram)));
      return known.length / grams.size;
    });
  return shares.reduce((sum, share) => sum + share, 0) / Math.max(1, shares.length);
}

function compareTerms({ queries }: Topics): LeakAudit['terms'] {
  const counts = queries.flatMap(({ text, expansions }) => {
    const asked = new Set(analyzeEnglish(text));
    return expansions.map((expansion) => {
      const written = new Set(analyzeEnglish(expansion));
      const repeated = [...asked].filter((term) => written.has(term)).length;
      return { added: written.size - repeated, repeated: asked.size === 0 ? 0 : repeated / asked.size };
    });
  });
  const mean = (pick: (one: { added: number; repeated: number }) => number) =>
    counts.reduce((sum, one) => sum + pick(one), 0) / Math.max(1, counts.length);
  return { added: mean((one) => one.added), repeated: mean((one) => one.repeated) };
}

/** Returns sentences for people. */
export function describeLeaks({ expansions, overlap, terms, found }: LeakAudit): string[] {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  return [
    `Of an expansion's ${overlap.n}-grams, ${percent(overlap.relevant)} occur in documents that are relevant to its query, and ${percent(overlap.others)} in the same number of other documents, drawn at random.`,
    `An expansion adds ${terms.added.toFixed(1)} terms to its query, and repeats ${percent(terms.repeated)} of the query's.`,
    `${found.expansions} of ${expansions} expansions (${percent(found.share)}) hold a run of ${RUN} words, or a sentence, of the corpus; ${found.inRelevant} of them one of a relevant document.`,
  ];
}
