import { type AnswerRecord, answerSchema, type TrainingQuery } from '../../data/index.ts';
import { DataError, DEFAULT_SEED, deriveSeed, UsageError } from '../../system/index.ts';
import type { GenerationRequest, Generator, Sampling } from '../generator.ts';
import { PROMPTS, type PromptTemplate } from '../prompts.ts';
import { checkSampling } from '../sampling.ts';
import type { QuerySource } from './query-set.ts';
import { askOnceMore, type KeyedText, runStage, type StageOptions, type StageOutcome } from './stage.ts';
import { openGrowingOutput } from './stage-output.ts';
import { countText, noTexts, type TextCounts } from './text-counts.ts';

export interface AnswerOptions extends StageOptions {
  /** Read twice: first to survey them, then to process them. Each query brings the text of its gold document. */
  queries: QuerySource<TrainingQuery>;
  /** A prompt with `{document}`. Default: the published q2a. */
  prompt?: PromptTemplate | undefined;
  /** Default: temperature 1, topP 0.9, topK 0, maxTokens 512. */
  sampling?: Partial<Sampling> | undefined;
  /** The seed of every answer is derived from this one and the query's id. Default 42. */
  seed?: number | undefined;
}

/** Counts of a file of answers. */
export interface AnswerTally extends TextCounts {
  answers: number;
  /** Queries whose answer was empty and was requested a second time. */
  repeated: number;
  /** Queries whose second answer was empty too. Their record has no text, and readers skip them. */
  skipped: number;
  /** Tokens that the LLM wrote for the answers that were kept. */
  tokens: number;
}

export type AnswerResult = StageOutcome &
  AnswerTally & {
    /** Documents of this run that were cut at their end because prompt and answer did not fit into the context. */
    shortened: number;
  };

/**
 * Lets an LLM answer training queries while it reads the (first) gold document of each, into one file that grows answer by answer.
 * A document that does not fit into the context is cut at its end; instruction and query never are. An empty answer is requested
 * once more with another seed (method, stage 4). Interrupted work resumes after the last answer.
 *
 * @throws DataError if a query occurs twice or lacks its `goldText`; OtherSettingsError if the file was begun with other settings,
 * queries or documents, naming them; UsageError if the prompt lacks `{document}`; and what the generator throws
 */
export async function writeAnswers(options: AnswerOptions): Promise<AnswerResult> {
  const { prompt = PROMPTS.q2a, seed = DEFAULT_SEED } = options;
  const sampling = checkSampling({ ...options.sampling });
  if (!prompt.needsDocument) {
    throw new UsageError(`prompt ${prompt.name} does not read the document`, {
      fix: 'Use q2a, or your own prompt with {query} and {document}.',
    });
  }
  const tally: AnswerTally = { answers: 0, repeated: 0, skipped: 0, tokens: 0, ...noTexts() };
  let shortened = 0;
  const outcome = await runStage<TrainingQuery, AnswerRecord>(
    {
      name: 'answers',
      unit: 'answers',
      settings: { prompt: { name: prompt.name, text: prompt.text }, ...sampling, seed },
      schema: answerSchema,
      idOf: ({ queryId }) => queryId,
      recordsPerQuery: 1,
      grows: true,
      openOutput: openGrowingOutput,
      identityOf: identityWithGold,
      requestsFor: (query) => [answerRequest(query, prompt, sampling, seed)],
      again: askOnceMore,
      recordsOf: (query, [text]) => {
        if (text!.promptCut) shortened++;
        return [toAnswer(query, text!)];
      },
      tally: ([record]) => addToTally(tally, record!, options.generator, sampling.maxTokens),
    },
    options.queries,
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

function identityWithGold({ id, text, documents, goldText }: TrainingQuery): unknown {
  if (goldText !== undefined) return [id, text, documents[0], goldText];
  throw new DataError('the query lacks the text of its gold document', {
    id,
    fix: 'Read the queries together with their documents.',
  });
}

function toAnswer({ id, documents }: TrainingQuery, written: KeyedText): AnswerRecord {
  const { text, raw, emptyBecause, attempts, completionTokens, finish } = written;
  return {
    queryId: id,
    documentId: documents[0]!,
    text,
    ...(raw !== undefined && { raw }),
    ...(emptyBecause !== undefined && { emptyBecause }),
    attempts,
    tokens: completionTokens,
    ...(finish === 'length' && { finish }),
  };
}

function addToTally(tally: AnswerTally, record: AnswerRecord, generator: Generator, maxTokens: number): void {
  const { text, attempts, tokens } = record;
  if (text === '') tally.skipped++;
  else tally.answers++;
  if (attempts > 1) tally.repeated++;
  tally.tokens += tokens ?? 0;
  countText(tally, generator, record, maxTokens);
}
