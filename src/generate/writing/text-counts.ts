import type { EmptyBecause } from '../../data/index.ts';
import { counted } from '../../system/index.ts';
import type { Generator } from '../generator.ts';

/** Counts how many texts were cut, and how many are empty for a known reason. */
export interface TextCounts {
  /** Cut at the maximum number of new tokens. */
  cutByLength: number;
  /**
   * Cut before that maximum because prompt and text filled the context: such texts are shorter than the settings allow. Known only
   * for embedded LLMs; a server's texts count as cut at the maximum.
   */
  cutByContext: number;
  /** Texts that were not requested because the query is blank. */
  blankQuery: number;
  /** Texts that were not written because the prompt alone is longer than the context. */
  promptTooLong: number;
  /** Texts that a server's content filter withheld. */
  contentFilter: number;
  /** Texts that are empty because the model was still thinking when its tokens ran out. */
  unfinishedThought: number;
}

/** Returns counts of 0. */
export function noTexts(): TextCounts {
  return { cutByLength: 0, cutByContext: 0, blankQuery: 0, promptTooLong: 0, contentFilter: 0, unfinishedThought: 0 };
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

/** Describes the texts for which the context was too small; undefined if there are none. */
export function contextRemark({ cutByContext }: TextCounts): string | undefined {
  if (cutByContext === 0) return undefined;
  return `${cutByContext} cut by a full context (raise --context)`;
}

/**
 * Returns warnings for the user, one sentence each.
 * @param unit what one text is, in the plural
 */
export function textWarnings(counts: TextCounts, unit: string): string[] {
  const { cutByContext, blankQuery, promptTooLong, contentFilter, unfinishedThought } = counts;
  const [was, is] = [
    ['was', 'were'],
    ['is', 'are'],
  ] as const;
  const sentences: [number, readonly [string, string], string][] = [
    [cutByContext, was, 'cut because the context was full: raise --context'],
    [
      unfinishedThought,
      is,
      'empty because the model wrote only thoughts: raise --max-tokens or switch thinking off, for many models with --chat-template-kwargs \'{"enable_thinking": false}\'',
    ],
    [
      promptTooLong,
      was,
      'not written because the prompt is longer than the context: shorten the query or raise --context (for a server: lower --max-tokens, or serve the model with a longer context)',
    ],
    [
      contentFilter,
      is,
      "empty because the server's content filter refused the prompt or withheld the text: the same command requests them again",
    ],
    [blankQuery, was, 'not written because the query is blank'],
  ];
  return sentences
    .filter(([count]) => count > 0)
    .map(([count, [one, many], what]) => `${counted(count, `${unit.slice(0, -1)} ${one}`, `${unit} ${many}`)} ${what}`);
}
