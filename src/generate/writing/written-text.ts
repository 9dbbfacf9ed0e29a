import { z } from 'zod';
import { writtenFacts } from '../../data/index.ts';
import type { Generation } from '../generator.ts';
import { cutOpening } from '../prompts.ts';
import { cutThoughts } from './thoughts.ts';

/** What an LLM wrote for one request, as every writer stores it. */
export const writtenTextSchema = z.object({
  /** The passage alone, without thoughts and boilerplate opening. */
  text: z.string(),
  ...writtenFacts,
  finish: z.enum(['stop', 'length']),
  promptTokens: z.number(),
  completionTokens: z.number(),
  milliseconds: z.number(),
  logProbability: z.number().optional(),
  promptCut: z.boolean().optional(),
  /** How often it was requested. */
  attempts: z.number().int().positive(),
});
export type WrittenText = z.output<typeof writtenTextSchema>;

/**
 * Extracts the passage from what an LLM wrote. This is the only place that decides what belongs to the answer: expansions,
 * candidates and answers of embedded models and of servers all pass through it.
 */
export function readWrittenText(generation: Generation, attempts: number): WrittenText {
  const { text: written, reasoning, promptTooLong, filtered, promptCut, logProbability } = generation;
  const { finish, promptTokens, completionTokens } = generation;
  const { text: answer, unfinished } = cutThoughts(written);
  // The beginning of a text that a filter cut is no passage.
  const text = filtered ? '' : cutOpening(answer);
  // A server returns thoughts apart from texts, or keeps them to itself. In the second case, an empty text at the limit on tokens reveals them.
  const isThought =
    unfinished || (text.trim() === '' && ((reasoning ?? '').trim() !== '' || (finish === 'length' && !promptTooLong)));
  const raw = text === '' && written.trim() === '' ? (reasoning ?? written) : written;
  const emptyBecause = promptTooLong
    ? 'promptTooLong'
    : filtered
      ? 'contentFilter'
      : isThought
        ? 'unfinishedThought'
        : undefined;
  return {
    text,
    ...(text !== raw && { raw }),
    ...(emptyBecause !== undefined && { emptyBecause }),
    ...{ finish, promptTokens, completionTokens, milliseconds: generation.milliseconds },
    ...(text !== '' && logProbability !== undefined && { logProbability: roundedDown(logProbability) }),
    ...(promptCut && { promptCut }),
    attempts,
  };
}

/** More digits than a feature needs would only make files larger. Rounding of sums must not make it positive. */
function roundedDown(logProbability: number): number {
  return Math.min(0, Math.floor(logProbability * 1e4) / 1e4);
}

/** Returns the passage in a text that was written elsewhere, without thoughts and boilerplate opening. */
export function passageOf(written: string): string {
  return cutOpening(cutThoughts(written).text);
}

/** The record of a query that is blank: the LLM is not asked. */
export const TEXT_OF_BLANK: WrittenText = {
  ...{ text: '', emptyBecause: 'blankQuery', finish: 'stop' },
  ...{ promptTokens: 0, completionTokens: 0, milliseconds: 0, attempts: 1 },
};
