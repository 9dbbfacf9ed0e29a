import type { GenerationRequest } from '../generator.ts';

/** What fitting a prompt needs of a model. */
export interface PromptTokenizer {
  /** Tokens of the whole prompt, chat template and all. */
  promptTokens(messages: GenerationRequest['messages']): number[];
  /** Tokens of a piece of text. */
  tokens(text: string): number[];
  textOf(tokens: number[]): string;
}

export interface FittedPrompt {
  tokens: number[];
  /** Whether the request's cuttable part was cut. */
  cut: boolean;
}

/**
 * Tokenises a request's prompt, and cuts the end of its cuttable part off where the whole is longer than `limit` tokens. Only
 * the end of that part goes; what surrounds it (instruction, query, template) stays. Without such a part, or where even
 * its absence is not enough, the prompt comes back longer than the limit.
 */
export function fitPrompt(
  { messages, cuttable }: Pick<GenerationRequest, 'messages' | 'cuttable'>,
  limit: number,
  tokenizer: PromptTokenizer,
): FittedPrompt {
  const whole = tokenizer.promptTokens(messages);
  if (whole.length <= limit || cuttable === undefined) return { tokens: whole, cut: false };
  const part = tokenizer.tokens(cuttable.text);
  let tokens = whole;
  // Tokens at the seams may join differently, so the first cut can be a token or two short.
  for (let kept = part.length; tokens.length > limit && kept > 0; ) {
    kept = Math.max(0, kept - (tokens.length - limit));
    const text = tokenizer.textOf(part.slice(0, kept)).replace(/\uFFFD+$/, '');
    tokens = tokenizer.promptTokens(cuttable.messagesWith(text));
  }
  return { tokens, cut: true };
}
