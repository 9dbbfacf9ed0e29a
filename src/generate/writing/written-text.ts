import { z } from 'zod';
import { writtenFacts } from '../../data/index.ts';
import type { Generation } from '../generator.ts';
import { cutOpening } from '../prompts.ts';
import { cutThoughts } from './thoughts.ts';

/** What an LLM wrote for one request, as every writer keeps it. */
export const writtenTextSchema = z.object({
  /** The passage alone: thoughts and boilerplate opening are cut off. */
  text: z.string(),
  ...writtenFacts,
  finish: z.enum(['stop', 'length']),
  promptTokens: z.number(),
  completionTokens: z.number(),
  milliseconds: z.number(),
  promptCut: z.boolean().optional(),
  /** How often it was asked for. */
  attempts: z.number().int().positive(),
});
export type WrittenText = z.output<typeof writtenTextSchema>;

/**
 * Takes the passage out of what an LLM wrote. This is the one place that decides what is answer and what is not; expansions, candidates and
 * answers of embedded models and of servers all pass through it.
 */
export function readWrittenText(generation: Generation, attempts: number): WrittenText {
  const { text: written, reasoning, promptTooLong, promptCut, finish, promptTokens, completionTokens } = generation;
  const { text: answer, unfinished } = cutThoughts(written);
  const text = cutOpening(answer);
  // A server that keeps thoughts apart from texts.
  const isThought = unfinished || (text === '' && (reasoning ?? '').trim() !== '');
  const raw = text === '' && written.trim() === '' ? (reasoning ?? written) : written;
  const emptyBecause = promptTooLong ? 'promptTooLong' : isThought ? 'unfinishedThought' : undefined;
  return {
    text,
    ...(text !== raw && { raw }),
    ...(emptyBecause !== undefined && { emptyBecause }),
    ...{ finish, promptTokens, completionTokens, milliseconds: generation.milliseconds },
    ...(promptCut && { promptCut }),
    attempts,
  };
}

/** Stands where an LLM is not asked, since the query says nothing. */
export const TEXT_OF_BLANK: WrittenText = {
  ...{ text: '', emptyBecause: 'blankQuery', finish: 'stop' },
  ...{ promptTokens: 0, completionTokens: 0, milliseconds: 0, attempts: 1 },
};
