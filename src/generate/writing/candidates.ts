import { type CandidateRecord, candidateIdOf, candidateSchema, type TrainingQuery } from '../../data/index.ts';
import { DEFAULT_SEED, deriveSeed, UsageError } from '../../system/index.ts';
import type { GenerationRequest, Generator, Sampling } from '../generator.ts';
import type { PromptTemplate } from '../prompts.ts';
import { checkSampling } from '../sampling.ts';
import type { QuerySource } from './query-set.ts';
import { type KeyedText, runStage, type StageOptions, type StageOutcome } from './stage.ts';
import { openGrowingOutput } from './stage-output.ts';
import { contextRemark, countText, noTexts, type TextCounts } from './text-counts.ts';

/** Published temperatures of the candidates, and samples at each (method, stage 3). */
export const CANDIDATE_TEMPERATURES: readonly number[] = [0.8, 0.9, 1, 1.1];
export const CANDIDATE_SAMPLES = 8;

export interface CandidateOptions extends StageOptions {
  /** Read twice: first to survey them, then to process them. */
  queries: QuerySource<TrainingQuery>;
  prompt: PromptTemplate;
  /** Default {@link CANDIDATE_TEMPERATURES}. */
  temperatures?: readonly number[] | undefined;
  /** Candidates at each temperature. Default {@link CANDIDATE_SAMPLES}. */
  samples?: number | undefined;
  /** Default: topP 0.9, topK 0, maxTokens 512. */
  sampling?: Partial<Omit<Sampling, 'temperature'>> | undefined;
  /** The seed of every candidate is derived from this one, the query's id and the candidate's index. Default 42. */
  seed?: number | undefined;
}

/** Counts of a file of candidates. */
export interface CandidateTally extends TextCounts {
  candidates: number;
  /** Candidates whose non-empty text equals that of an earlier candidate of the same query. */
  duplicates: number;
  /** Candidates without text. */
  empty: number;
  /** Tokens that the LLM wrote for the candidates. */
  tokens: number;
}

export type CandidateResult = StageOutcome & CandidateTally;

/** Complete settings, with defaults filled in. */
interface CandidatePlan {
  prompt: PromptTemplate;
  temperatures: readonly number[];
  samples: number;
  sampling: Sampling;
  seed: number;
}

/**
 * Samples candidate expansions of training queries (Yao et al., arXiv 2502.17057; the published settings are the defaults) into one
 * file that grows query by query. The candidate with number `index` has the temperature `temperatures[floor(index / samples)]`.
 * Thoughts and the boilerplate opening of a text are cut. A text that equals an earlier candidate of the query is marked as a
 * duplicate, and an empty text is kept as empty. Interrupted work resumes with the missing texts.
 *
 * @throws DataError if a query occurs twice; OtherSettingsError if the file was begun with other settings or queries, naming them;
 * UsageError for invalid settings; and what the generator throws
 */
export async function sampleCandidates(options: CandidateOptions): Promise<CandidateResult> {
  const plan = planCandidates(options);
  const tally: CandidateTally = { candidates: 0, duplicates: 0, empty: 0, ...noTexts(), tokens: 0 };
  const { temperature: _varies, ...sampling } = plan.sampling;
  const outcome = await runStage<TrainingQuery, CandidateRecord>(
    {
      name: 'candidates',
      unit: 'candidates',
      settings: {
        prompt: { name: plan.prompt.name, text: plan.prompt.text },
        temperatures: plan.temperatures,
        samples: plan.samples,
        ...sampling,
        seed: plan.seed,
      },
      schema: candidateSchema,
      idOf: ({ queryId }) => queryId,
      recordsPerQuery: plan.temperatures.length * plan.samples,
      grows: true,
      openOutput: openGrowingOutput,
      identityOf: ({ id, text }) => [id, text],
      requestsFor: (query) => candidateRequests(plan, query),
      recordsOf: ({ id }, texts) => toCandidates(plan, id, texts),
      tally: (records) => addToTally(tally, records, options.generator, plan.sampling.maxTokens),
      remark: () => contextRemark(tally),
    },
    options.queries,
    options,
  );
  return { ...outcome, ...tally };
}

function planCandidates(options: CandidateOptions): CandidatePlan {
  const { prompt, temperatures = CANDIDATE_TEMPERATURES, samples = CANDIDATE_SAMPLES, seed = DEFAULT_SEED } = options;
  if (prompt.needsDocument) {
    throw new UsageError(`prompt ${prompt.name} reads the gold document, which a test query does not have`, {
      fix: 'Use q2d, q2q, q2e or q2c, or a prompt without {document}.',
    });
  }
  if (!Number.isInteger(samples) || samples < 1) {
    throw new UsageError(`${samples} is not a number of samples`, { fix: 'Use a whole number of at least 1.' });
  }
  if (temperatures.length === 0) {
    throw new UsageError('there is no temperature', { fix: 'Pass at least one, such as 1.' });
  }
  if (new Set(temperatures).size < temperatures.length) {
    throw new UsageError('a temperature occurs twice', {
      fix: 'Pass each temperature once, and raise the number of samples per temperature instead.',
    });
  }
  for (const temperature of temperatures) checkSampling({ ...options.sampling, temperature });
  return { prompt, temperatures, samples, sampling: checkSampling({ ...options.sampling }), seed };
}

/** Candidates of one temperature are next to one another: a server that supports `n` writes them in one call. */
function candidateRequests(plan: CandidatePlan, query: TrainingQuery): GenerationRequest[] {
  const messages = plan.prompt.messages({ id: query.id, query: query.text });
  return plan.temperatures.flatMap((temperature, row) =>
    Array.from({ length: plan.samples }, (_none, sample) => {
      const index = row * plan.samples + sample;
      const seed = deriveSeed(plan.seed, query.id, index);
      return { id: candidateIdOf(query.id, index), messages, sampling: { ...plan.sampling, temperature }, seed };
    }),
  );
}

function toCandidates(plan: CandidatePlan, queryId: string, texts: readonly KeyedText[]): CandidateRecord[] {
  const firstWith = new Map<string, string>();
  return texts.map(({ text, raw, emptyBecause, completionTokens, finish }, index) => {
    const candidateId = candidateIdOf(queryId, index);
    const first = firstWith.get(text);
    if (first === undefined) firstWith.set(text, candidateId);
    return {
      queryId,
      candidateId,
      index,
      temperature: plan.temperatures[Math.floor(index / plan.samples)]!,
      seed: deriveSeed(plan.seed, queryId, index),
      text,
      ...(raw !== undefined && { raw }),
      ...(emptyBecause !== undefined && { emptyBecause }),
      ...(first !== undefined && { duplicateOf: first }),
      tokens: completionTokens,
      finish,
    };
  });
}

function addToTally(
  tally: CandidateTally,
  records: readonly CandidateRecord[],
  generator: Generator,
  maxTokens: number,
): void {
  for (const { text, duplicateOf, finish, tokens, emptyBecause } of records) {
    tally.candidates++;
    if (text === '') tally.empty++;
    else if (duplicateOf !== undefined) tally.duplicates++;
    countText(tally, generator, { finish, tokens, emptyBecause }, maxTokens);
    tally.tokens += tokens ?? 0;
  }
}
