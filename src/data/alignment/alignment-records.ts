import { z } from 'zod';
import { idSchema } from '../../files/index.ts';

/** The records that the stages of the alignment pass to one another: one JSONL file per stage, joined by id. */

const count = z.number().int().nonnegative();

/** A training query of the generator, with its relevant documents. */
export const trainingQuerySchema = z.object({
  id: idSchema,
  text: z.string(),
  /** Ids of the gold documents, at least one, the most relevant first. */
  documents: z.array(idSchema).min(1, 'a training query needs a gold document'),
  /** Text of the first gold document, if the source holds it with the query (triples do, BEIR data sets do not). */
  goldText: z.string().optional(),
});
export type TrainingQuery = z.output<typeof trainingQuerySchema>;

/** Why a text is empty, if that is known. */
export const EMPTY_BECAUSE = ['blankQuery', 'promptTooLong', 'contentFilter', 'unfinishedThought'] as const;
export type EmptyBecause = (typeof EMPTY_BECAUSE)[number];

/** Fields that every record of a text can have. */
export const writtenFacts = {
  /** Everything that the LLM wrote, if it differs from the text. */
  raw: z.string().optional(),
  /** Why there is no text. */
  emptyBecause: z.enum(EMPTY_BECAUSE).optional(),
};

/** The id of a query's candidate: the query's, a number sign, the candidate's 0-based index. */
export function candidateIdOf(queryId: string, index: number): string {
  return `${queryId}#${index}`;
}

/** One line of `candidates.jsonl`: an expansion sampled for a training query. The lines of one query are next to one another. */
export const candidateSchema = z.object({
  queryId: idSchema,
  candidateId: idSchema,
  /** 0-based index among the query's candidates. */
  index: count,
  temperature: z.number().nonnegative(),
  seed: count,
  /** The passage, without thoughts and boilerplate opening. */
  text: z.string(),
  ...writtenFacts,
  /** The first candidate of this query with the same text, if there is one. */
  duplicateOf: idSchema.optional(),
  /** Number of tokens that the LLM wrote. */
  tokens: count.optional(),
  /** `stop`: the LLM ended the passage; `length`: it was cut at the token limit. */
  finish: z.string().optional(),
});
export type CandidateRecord = z.output<typeof candidateSchema>;

/** One line of `answers.jsonl`: an LLM's answer to the query, written from a gold document. */
export const answerSchema = z.object({
  queryId: idSchema,
  /** The gold document that the LLM read. */
  documentId: idSchema,
  text: z.string(),
  ...writtenFacts,
  /** Number of requests: an empty answer is requested a second time. */
  attempts: z.number().int().positive(),
  tokens: count.optional(),
  /** `length` if it was cut at the token limit. */
  finish: z.string().optional(),
});
export type AnswerRecord = z.output<typeof answerSchema>;

/** Numbers by the name of what they measure. A value that is not defined (for example, without an answer) is omitted. */
const named = z.record(z.string(), z.number());

/** One line of `rewards.jsonl`: the rewards of a candidate. The lines of one query are next to one another. */
export const rewardSchema = z.object({
  queryId: idSchema,
  candidateId: idSchema,
  /** By the reward's name, before weighting. */
  rewards: named,
  /** Cosine similarity to the gold document (the maximum over several) and to the answer. */
  similarity: z.object({ gold: z.number().optional(), answer: z.number().optional() }),
  /** Rank among the query's candidates, from 1. Candidates of equal text or similarity share a rank. */
  ranks: z.object({ gold: count.optional(), answer: count.optional() }),
  /** Weighted sum of the rewards, by which pairs are chosen. */
  total: z.number(),
});
export type RewardRecord = z.output<typeof rewardSchema>;

/** A message of a chat, in the standard form. */
export const messageSchema = z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });
export type Message = z.output<typeof messageSchema>;

/**
 * One line of `pairs.jsonl`: a preference in TRL's conversational format (`prompt`, `chosen`, `rejected` as lists of messages). The
 * other fields are for readers and audits; a trainer may ignore them.
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
