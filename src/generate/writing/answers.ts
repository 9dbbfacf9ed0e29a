import { type AnswerRecord, answerSchema, type TrainingQuery } from '../../data/index.ts';
import { deriveSeed, UsageError } from '../../system/index.ts';
import type { GenerationRequest, Sampling } from '../generator.ts';
import { cutOpening, PROMPTS, type PromptTemplate } from '../prompts.ts';
import { checkSampling } from '../sampling.ts';
import type { FinishedGroup } from './groups.ts';
import { runStage, type StageOptions, type StageOutcome } from './stage.ts';

export interface AnswerOptions extends StageOptions {
  /** A prompt with `{document}`. Default: the published q2a. */
  prompt?: PromptTemplate | undefined;
  /** Default: temperature 1, topP 0.9, topK 0, maxTokens 512. */
  sampling?: Partial<Sampling> | undefined;
  /** Every answer's own seed comes from this one and the query's id. Default 42. */
  seed?: number | undefined;
}

/** What a file of answers holds. */
export interface AnswerTally {
  answers: number;
  /** Queries whose answer was empty and was asked for a second time. */
  repeated: number;
  /** Queries whose second answer was empty too: their record has no text, and whoever reads it passes over them. */
  skipped: number;
  /** Tokens that the LLM wrote for what is kept. */
  tokens: number;
}

export type AnswerResult = StageOutcome &
  AnswerTally & {
    /** Documents of this run that were cut at their end, since prompt and answer did not fit into the context. */
    shortened: number;
  };

/** The published work asks twice (method, stage 4). */
const ATTEMPTS = 2;

/**
 * Lets an LLM answer training queries while it reads the (first) gold document of each, into one file that grows answer by
 * answer. A document that does not fit into the context is cut at its end; instruction and query never are. An empty answer is
 * asked for once more, with another seed. Work that was cut off goes on after the last answer.
 *
 * @throws DataError for a query that comes twice or without its `goldText`; OtherSettingsError when the file was begun with
 *   other settings, queries or documents, saying which; UsageError for a prompt without `{document}`; and what the generator throws
 */
export async function writeAnswers(options: AnswerOptions): Promise<AnswerResult> {
  const { prompt = PROMPTS.q2a, seed = 42 } = options;
  const sampling = checkSampling({ ...options.sampling });
  if (!prompt.needsDocument) {
    throw new UsageError(`prompt ${prompt.name} does not read the document`, {
      fix: 'Choose q2a, or a prompt of your own that holds {query} and {document}.',
    });
  }
  const tally: AnswerTally = { answers: 0, repeated: 0, skipped: 0, tokens: 0 };
  let shortened = 0;
  const outcome = await runStage<AnswerRecord>(
    {
      name: 'answers',
      unit: 'answers',
      settings: { prompt: { name: prompt.name, text: prompt.text }, ...sampling, seed },
      schema: answerSchema,
      recordsPerQuery: 1,
      withGold: true,
      requestsFor: (query) => [answerRequest(query, prompt, sampling, seed)],
      again: (request, { text }, attempts) =>
        cutOpening(text) === '' && attempts < ATTEMPTS
          ? { ...request, seed: deriveSeed(request.seed, 'again') }
          : undefined,
      recordsOf: (group) => {
        if (group.generations[0]!.promptCut) shortened++;
        return [toAnswer(group)];
      },
      tally: ([record]) => addToTally(tally, record!),
    },
    options,
  );
  return { ...outcome, ...tally, shortened };
}

function answerRequest(
  { id, text, goldText = '' }: TrainingQuery,
  prompt: PromptTemplate,
  sampling: Sampling,
  seed: number,
): GenerationRequest {
  const messagesWith = (document: string) => prompt.messages({ id, query: text, document });
  return {
    id,
    messages: messagesWith(goldText),
    cuttable: { text: goldText, messagesWith },
    sampling,
    seed: deriveSeed(seed, id),
  };
}

function toAnswer({
  item,
  generations: [generation],
  attempts: [attempts],
}: FinishedGroup<TrainingQuery>): AnswerRecord {
  return {
    queryId: item.id,
    documentId: item.documents[0]!,
    text: cutOpening(generation!.text),
    attempts: attempts!,
    tokens: generation!.completionTokens,
  };
}

function addToTally(tally: AnswerTally, { text, attempts, tokens }: AnswerRecord): void {
  if (text === '') tally.skipped++;
  else tally.answers++;
  if (attempts > 1) tally.repeated++;
  tally.tokens += tokens ?? 0;
}
