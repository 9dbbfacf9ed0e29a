import type { Expansion, Query } from '../../data/index.ts';
import { DEFAULT_SEED, deriveSeed, UsageError } from '../../system/index.ts';
import type { GenerationRequest, Sampling } from '../generator.ts';
import type { PromptTemplate } from '../prompts.ts';
import { checkSampling } from '../sampling.ts';
import {
  type ExpandResult,
  type ExpansionFilesOptions,
  type ExpansionTask,
  toExpansion,
  writeExpansionFiles,
} from './expansion-files.ts';
import type { QuerySource } from './query-set.ts';

/** A query to expand. */
export interface ExpandableQuery extends Pick<Query, 'id' | 'text'> {
  /** For prompts with `{document}`. */
  document?: string | undefined;
}

export interface ExpandOptions extends ExpansionFilesOptions {
  /** Read twice. As a function they need not be in memory. */
  queries: Iterable<ExpandableQuery> | QuerySource<ExpandableQuery>;
  prompt: PromptTemplate;
  /** Default: temperature 1, topP 0.9, topK 0, maxTokens 512. */
  sampling?: Partial<Sampling> | undefined;
  /** Expansions per query. Default 1. */
  samples?: number | undefined;
  /** The seed of every sample is derived from this one, the query's id and the sample's number. Default 42. */
  seed?: number | undefined;
  /** Whether records hold wall times. Without them, equal runs write identical files. Default true. */
  timings?: boolean | undefined;
  /** Facts for the manifest that decide nothing, such as how the expansions are combined with their query. */
  about?: Record<string, unknown> | undefined;
}

/** Complete settings, with defaults filled in. */
interface ExpansionPlan {
  prompt: PromptTemplate;
  sampling: Sampling;
  samples: number;
  seed: number;
  timings: boolean;
}

/**
 * Expands queries with one prompt; see {@link writeExpansionFiles}.
 *
 * @throws DataError if a query occurs twice, or if the origin of existing files is unknown; OtherSettingsError if files were made
 * with other settings, naming them; UsageError for invalid settings; and what the generator throws
 */
export async function expandQueries(options: ExpandOptions): Promise<ExpandResult> {
  const task = { ...taskOf(planExpansions(options)), about: options.about };
  return writeExpansionFiles(task, sourceOf(options.queries), options);
}

function planExpansions({
  prompt,
  samples = 1,
  seed = DEFAULT_SEED,
  timings = true,
  ...options
}: ExpandOptions): ExpansionPlan {
  return { prompt, sampling: checkSampling(options.sampling ?? {}), samples: checkSamples(samples), seed, timings };
}

/** @throws UsageError unless it is a whole number of at least 1 */
export function checkSamples(samples: number): number {
  if (Number.isInteger(samples) && samples >= 1) return samples;
  throw new UsageError(`${samples} is not a number of samples`, { fix: 'Use a whole number of at least 1.' });
}

/** An iterable can perhaps be read only once, but queries are read twice. */
export function sourceOf<Q>(queries: Iterable<Q> | QuerySource<Q>): QuerySource<Q> {
  if (typeof queries === 'function') return queries;
  const all = [...queries];
  return () => all;
}

function taskOf(plan: ExpansionPlan): ExpansionTask<ExpandableQuery> {
  const { prompt, sampling, samples, seed, timings } = plan;
  return {
    name: prompt.name,
    settings: { prompt: { name: prompt.name, text: prompt.text }, ...sampling, seed, samples, timings },
    identityOf: (query) => {
      messagesFor(prompt, query);
      return [query.id, query.text, query.document ?? null];
    },
    requestsFor: (query) => expansionRequests(plan, query),
    texts: samples,
    expansions: samples,
    expansionsOf: ({ id }, texts): Expansion[] => texts.map((text, sample) => toExpansion(id, sample, text, timings)),
    maxTokens: sampling.maxTokens,
  };
}

function messagesFor(prompt: PromptTemplate, { id, text, document }: ExpandableQuery) {
  return prompt.messages({ id, query: text, document });
}

function expansionRequests({ prompt, sampling, samples, seed }: ExpansionPlan, query: ExpandableQuery) {
  const messages = messagesFor(prompt, query);
  return Array.from({ length: samples }, (_none, sample): GenerationRequest => {
    return { id: `${query.id}/${sample}`, messages, sampling, seed: deriveSeed(seed, query.id, sample) };
  });
}
