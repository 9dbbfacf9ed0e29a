import type { EmptyBecause } from '../../data/index.ts';
import type { Generator } from '../generator.ts';

/** How many of some texts lost their end, and how many came out empty for a reason that is known. */
export interface TextCounts {
  /** Cut at the limit on new tokens. */
  cutByLength: number;
  /**
   * Cut before that limit, since prompt and text filled the context: such texts are shorter than the settings say. Known of embedded LLMs
   * alone; a server's are counted as cut at the limit.
   */
  cutByContext: number;
  /** Texts that nobody wrote, since the query is blank. */
  blankQuery: number;
  /** Texts that nobody wrote, since the prompt alone is longer than the context. */
  promptTooLong: number;
  /** Texts that are empty since the model was still thinking when its tokens ran out. */
  unfinishedThought: number;
}

/** No text counted yet. */
export function noTexts(): TextCounts {
  return { cutByLength: 0, cutByContext: 0, blankQuery: 0, promptTooLong: 0, unfinishedThought: 0 };
}

/** Counts a text. */
export function countText(
  counts: TextCounts,
  { contextSize }: Pick<Generator, 'contextSize'>,
  text: { finish?: string | undefined; tokens?: number | undefined; emptyBecause?: EmptyBecause | undefined },
  maxTokens: number,
): void {
  const { finish, tokens, emptyBecause } = text;
  if (emptyBecause !== undefined) counts[emptyBecause]++;
  if (finish !== 'length') return;
  if (contextSize !== undefined && (tokens ?? maxTokens) < maxTokens) counts.cutByContext++;
  else counts.cutByLength++;
}

/** What is to be said of the texts for which the context was too small; undefined where there are none. */
export function contextRemark({ cutByContext }: TextCounts): string | undefined {
  if (cutByContext === 0) return undefined;
  return `${cutByContext} cut short by a full context (choose a larger one: --context)`;
}

/**
 * What people should be warned of, one sentence each.
 * @param unit what one text is, in the plural
 */
export function textWarnings(counts: TextCounts, unit: string): string[] {
  const { cutByContext, blankQuery, promptTooLong, unfinishedThought } = counts;
  const sentences: [number, string][] = [
    [cutByContext, 'were cut where the context was full: raise --context'],
    [
      unfinishedThought,
      'are empty, since the model used up its tokens for thinking: raise --max-tokens, or switch its thinking off, for many models with --chat-template-kwargs \'{"enable_thinking": false}\'',
    ],
    [
      promptTooLong,
      'were not written, since the prompt is longer than the context: raise --context, or shorten the query',
    ],
    [blankQuery, 'were not written, since their query is blank'],
  ];
  return sentences.filter(([count]) => count > 0).map(([count, what]) => `${count} ${unit} ${what}`);
}
