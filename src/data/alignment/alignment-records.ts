import { z } from 'zod';
import { idSchema } from '../../files/index.ts';

/** The records that the stages of the alignment hand to each other, one JSONL file a stage, joined by id. */

const count = z.number().int().nonnegative();

/** A query that the generator is aligned on, with the documents that are relevant to it. */
export const trainingQuerySchema = z.object({
  id: idSchema,
  text: z.string(),
  /** Ids of the gold documents, one or more, the most relevant first. */
  documents: z.array(idSchema).min(1, 'a training query needs a gold document'),
  /** Text of the first gold document, where the source carries it with the query (a triple does, a BEIR data set does not). */
  goldText: z.string().optional(),
});
export type TrainingQuery = z.output<typeof trainingQuerySchema>;

/** Why a text is empty, where that is known. */
export const EMPTY_BECAUSE = ['blankQuery', 'promptTooLong', 'unfinishedThought'] as const;
export type EmptyBecause = (typeof EMPTY_BECAUSE)[number];

/** What every record of a text can say of how it came about. */
export const writtenFacts = {
  /** All that the LLM wrote, where that differs from the text. */
  raw: z.string().optional(),
  /** Why there is no text. */
  emptyBecause: z.enum(EMPTY_BECAUSE).optional(),
};

/** The id of a query's candidate: the query's, a number sign, the candidate's 0-based index. */
export function candidateIdOf(queryId: string, index: number): string {
  return `${queryId}#${index}`;
}

/** One line of `candidates.jsonl`: an expansion sampled for a training query. The lines of one query stand together. */
export const candidateSchema = z.object({
  queryId: idSchema,
  candidateId: idSchema,
  /** 0-based number among the query's candidates. */
  index: count,
  temperature: z.number().nonnegative(),
  seed: count,
  /** The passage, thoughts and boilerplate opening cut off. */
  text: z.string(),
  ...writtenFacts,
  /** The first candidate of this query with the very same text, where there is one. */
  duplicateOf: idSchema.optional(),
  /** Tokens the LLM wrote. */
  tokens: count.optional(),
  /** `stop`: the LLM ended the passage; `length`: it was cut at the token limit. */
  finish: z.string().optional(),
});
export type CandidateRecord = z.output<typeof candidateSchema>;

/** One line of `answers.jsonl`: what an LLM answered to the query while reading a gold document. */
export const answerSchema = z.object({
  queryId: idSchema,
  /** The gold document that was read. */
  documentId: idSchema,
  text: z.string(),
  ...writtenFacts,
  /** How often the LLM was asked: an empty answer is tried once more. */
  attempts: z.number().int().positive(),
  tokens: count.optional(),
  /** `length` where it was cut at the token limit. */
  finish: z.string().optional(),
});
export type AnswerRecord = z.output<typeof answerSchema>;

/** Numbers by the name of what they measure; a value that is not defined (no answer, say) is left out. */
const named = z.record(z.string(), z.number());

/** One line of `rewards.jsonl`: what a candidate earned. The lines of one query stand together. */
export const rewardSchema = z.object({
  queryId: idSchema,
  candidateId: idSchema,
  /** By the reward's name, before any weight. */
  rewards: named,
  /** Cosine to the gold document (the best over several) and to the answer. */
  similarity: z.object({ gold: z.number().optional(), answer: z.number().optional() }),
  /** Rank among the siblings, from 1; candidates of equal text or similarity share one. */
  ranks: z.object({ gold: count.optional(), answer: count.optional() }),
  /** Weighted sum of the rewards: what pairs are chosen by. */
  total: z.number(),
});
export type RewardRecord = z.output<typeof rewardSchema>;

/** A turn of a chat, in the field's standard form. */
export const messageSchema = z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });
export type Message = z.output<typeof messageSchema>;

/**
 * One line of `pairs.jsonl`: a preference in TRL's conversational format (`prompt`, `chosen`, `rejected` as lists of
 * messages). The other fields are for people and audits; a trainer may ignore them.
 */
export const pairSchema = z.object({
  id: idSchema,
  queryId: idSchema,
  prompt: z.array(messageSchema).min(1, 'a pair needs a prompt'),
  chosen: z.array(messageSchema).min(1, 'a pair needs a chosen side'),
  rejected: z.array(messageSchema).min(1, 'a pair needs a rejected side'),
  chosenId: idSchema.optional(),
  rejectedId: idSchema.optional(),
  chosenReward: z.number().optional(),
  rejectedReward: z.number().optional(),
});
export type PairRecord = z.output<typeof pairSchema>;
