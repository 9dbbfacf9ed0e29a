import { z } from 'zod';
import type { Bm25Fields, TermFeedbackName } from '../search/index.ts';
import { inGroup, UsageError } from '../system/index.ts';
import type { ExpandedQuery, Retriever } from './retriever.ts';

/** The search that a feedback acts in, and its published settings. */
interface FeedbackKind {
  search: 'bm25' | 'dense' | 'any';
  documents: number;
  terms: number;
  weight: number;
  mostWeight: number;
}

/** Anserini's and Pyserini's defaults. `weight` is that of what the documents add. */
const KINDS = {
  rm3: { search: 'bm25', documents: 10, terms: 10, weight: 0.5, mostWeight: 1 },
  rocchio: { search: 'bm25', documents: 10, terms: 10, weight: 0.75, mostWeight: Number.POSITIVE_INFINITY },
  'bm25-prf': { search: 'bm25', documents: 10, terms: 20, weight: 0.2, mostWeight: Number.POSITIVE_INFINITY },
  vector: { search: 'dense', documents: 3, terms: 0, weight: 0.75, mostWeight: 1 },
  'vector-rocchio': { search: 'dense', documents: 5, terms: 0, weight: 0.6, mostWeight: 1 },
  repeat: { search: 'any', documents: 0, terms: 0, weight: 0, mostWeight: 0 },
} as const satisfies Record<string, FeedbackKind>;
export type FeedbackName = keyof typeof KINDS;

/** How often `repeat` writes a query, as Query2doc does. */
const REPEATS = 5;

const NAMES = Object.keys(KINDS) as [FeedbackName, ...FeedbackName[]];

/** Settings of feedback: what a query gains without an LLM. */
export const feedbackSettings = inGroup('Search:', {
  feedback: z
    .enum(NAMES)
    .optional()
    .describe(
      'add to each query what its first documents hold, without an LLM; rm3, rocchio and bm25-prf act in BM25, vector and vector-rocchio in dense search; repeat: no feedback, but a query without expansions is written 5 times',
    ),
  feedbackDocuments: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('feedback: number of first documents (default: 10; vector 3, vector-rocchio 5)'),
  feedbackTerms: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('feedback: number of terms to take from them (default: 10; bm25-prf 20)'),
  feedbackWeight: z
    .number()
    .nonnegative()
    .optional()
    .describe(
      'feedback: weight of what the documents add. The query weighs 1 in rocchio (default 0.75) and bm25-prf (0.2), and 1 minus this in rm3 (0.5), vector (N / (N + 1) for N documents) and vector-rocchio (0.6)',
    ),
});

const schema = z.object(feedbackSettings);
export type FeedbackOptions = z.output<typeof schema>;

/** Settings of feedback, and others that it must fit. */
type FeedbackInput = FeedbackOptions & { fields: Bm25Fields; passages?: string | undefined; bm25Index?: string };

/** Feedback with all settings. */
export interface Feedback {
  name: FeedbackName;
  documents: number;
  terms: number;
  weight: number;
}

/**
 * Fills in the published settings.
 * @throws UsageError for settings that have no effect, or a weight out of range
 */
export function feedbackOf(options: FeedbackInput): Feedback | undefined {
  const { feedback: name, feedbackDocuments, feedbackTerms, feedbackWeight, fields, passages } = options;
  const { bm25Index = 'local' } = options;
  if (name === undefined) {
    refuseIdle('--feedback', { feedbackDocuments, feedbackTerms, feedbackWeight });
    return undefined;
  }
  const kind: FeedbackKind = KINDS[name];
  if (kind.documents === 0) refuseIdle(`a feedback other than ${name}`, { feedbackDocuments, feedbackWeight });
  if (kind.terms === 0) refuseIdle('a feedback of terms, such as rm3', { feedbackTerms });
  if (kind.search === 'bm25' && fields !== 'flat') {
    throw new UsageError(`--feedback ${name} does not work with --fields ${fields}`, { fix: 'Omit one of the two.' });
  }
  if (kind.search === 'bm25' && bm25Index !== 'local') throw refusedFeedback(name);
  if (kind.search === 'dense' && passages !== undefined) {
    throw new UsageError(`--feedback ${name} does not work with --passages`, { fix: 'Omit one of the two.' });
  }
  const documents = feedbackDocuments ?? kind.documents;
  const usual = name === 'vector' ? documents / (documents + 1) : kind.weight;
  const weight = feedbackWeight ?? usual;
  if (weight > kind.mostWeight) {
    throw new UsageError(`--feedback-weight is ${weight}`, { fix: `Pass a number from 0 to ${kind.mostWeight}.` });
  }
  return { name, documents, terms: feedbackTerms ?? kind.terms, weight };
}

/** The error for a feedback that reads BM25's lists, where an engine holds them. */
export function refusedFeedback(name: FeedbackName): UsageError {
  return new UsageError(`--feedback ${name} reads BM25's lists here, and --bm25-index leaves them to an engine`, {
    fix: 'Omit one of the two.',
  });
}

function refuseIdle(without: string, options: Record<string, number | undefined>): void {
  const idle = Object.keys(options).find((name) => options[name] !== undefined);
  if (idle === undefined) return;
  const option = `--${idle.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new UsageError(`${option} works only with ${without}`, { fix: `Add it, or omit ${option}.` });
}

/** Checks the settings of feedback for a retriever, before any work. @throws UsageError */
export function checkFeedback(options: FeedbackInput, retriever: Retriever['name']): void {
  refuseIdleFeedback(feedbackOf(options), retriever);
}

/** @throws UsageError if the retriever does not search with the feedback */
export function refuseIdleFeedback(feedback: Feedback | undefined, retriever: Retriever['name']): void {
  if (feedback === undefined) return;
  const { search } = KINDS[feedback.name];
  if (search === 'any' || retriever === 'rrf' || retriever === search) return;
  throw new UsageError(`--feedback ${feedback.name} does not act in the retriever ${retriever}`, {
    fix: `Search with ${search} or rrf, or choose ${retriever === 'bm25' ? 'rm3 or rocchio' : 'vector'}.`,
  });
}

/** Whether a feedback takes terms from BM25's first documents. */
export function isTermFeedback(feedback: Feedback): feedback is Feedback & { name: TermFeedbackName } {
  return KINDS[feedback.name].search === 'bm25';
}

/** Whether a feedback takes vectors of the first documents of dense search. */
export function isVectorFeedback({ name }: Feedback): boolean {
  return KINDS[name].search === 'dense';
}

/** Returns the queries to search: with `repeat`, their text is written several times, unless they have expansions. */
export function repeatQueries(
  queries: readonly ExpandedQuery[],
  feedback: Feedback | undefined,
): readonly ExpandedQuery[] {
  if (feedback?.name !== 'repeat') return queries;
  return queries.map((query) =>
    query.expansions.length > 0 ? query : { ...query, text: Array<string>(REPEATS).fill(query.text).join(' ') },
  );
}

/** Describes feedback for reports, as name and value; empty without feedback. */
export function describeFeedback(feedback: Feedback | undefined): Record<string, string | number> {
  if (feedback === undefined) return {};
  const { name, documents, terms, weight } = feedback;
  if (documents === 0) return { feedback: name };
  const counted = { feedback: name, 'feedback documents': documents, 'feedback weight': weight };
  return terms === 0 ? counted : { ...counted, 'feedback terms': terms };
}
