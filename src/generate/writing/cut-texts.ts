import type { Generator } from '../generator.ts';

/** How many of some texts lost their end. */
export interface CutTexts {
  /** At the limit on new tokens. */
  cutByLength: number;
  /**
   * Before that limit, since prompt and text filled the context: such texts are shorter than the settings say. Known of embedded LLMs
   * alone; a server's are counted as cut at the limit.
   */
  cutByContext: number;
}

/** Counts a text where it was cut. */
export function countCut(
  counts: CutTexts,
  { contextSize }: Pick<Generator, 'contextSize'>,
  { finish, tokens }: { finish?: string | undefined; tokens?: number | undefined },
  maxTokens: number,
): void {
  if (finish !== 'length') return;
  if (contextSize !== undefined && (tokens ?? maxTokens) < maxTokens) counts.cutByContext++;
  else counts.cutByLength++;
}

/** What is to be said of texts for which the context was too small; undefined where there are none. */
export function contextRemark({ cutByContext }: CutTexts): string | undefined {
  if (cutByContext === 0) return undefined;
  return `${cutByContext} cut short by a full context (choose a larger one: --context)`;
}
