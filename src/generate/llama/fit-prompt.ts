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
  /** As many as `room` or more where nothing makes it fit; then they need not be all. */
  tokens: number[];
  /** Whether the request's cuttable part was cut. */
  cut: boolean;
}

/** In tokens. */
export interface PromptRoom {
  /** What is cut is cut to this. */
  limit: number;
  /** A prompt must be shorter than this, the context. */
  room: number;
}

/** Characters of a token, at the most that matters: a text of so many times the room is first tried by its beginning. */
const LONG_TOKEN = 32;

/**
 * Tokenises a request's prompt, and cuts the end of its cuttable part off where the whole is longer than `limit` tokens. Only
 * the end of that part goes; what surrounds it (instruction, query, template) stays. Without such a part, or where even
 * its absence is not enough, the prompt comes back longer than the limit. Time and memory do not grow with what is cut off.
 */
export function fitPrompt(
  { messages, cuttable }: Pick<GenerationRequest, 'messages' | 'cuttable'>,
  { limit, room }: PromptRoom,
  tokenizer: PromptTokenizer,
): FittedPrompt {
  for (const { content } of cuttable?.messagesWith('') ?? messages) {
    const text = startOf(content, room, tokenizer);
    if (text !== undefined) return { tokens: tokenizer.tokens(text), cut: false };
  }
  const start = cuttable && startOf(cuttable.text, room, tokenizer);
  const whole = tokenizer.promptTokens(start === undefined ? messages : cuttable!.messagesWith(start));
  if (whole.length <= limit || cuttable === undefined) return { tokens: whole, cut: start !== undefined };
  const part = tokenizer.tokens(start ?? cuttable.text);
  let tokens = whole;
  // Tokens at the seams may join differently, so the first cut can be a token or two short.
  for (let kept = part.length; tokens.length > limit && kept > 0; ) {
    kept = Math.max(0, kept - (tokens.length - limit));
    const text = tokenizer.textOf(part.slice(0, kept)).replace(/\uFFFD+$/, '');
    tokens = tokenizer.promptTokens(cuttable.messagesWith(text));
  }
  return { tokens, cut: true };
}

/** The beginning of a text where that alone is longer than the room; undefined where the whole must be looked at. */
function startOf(text: string, room: number, tokenizer: PromptTokenizer): string | undefined {
  const characters = room * LONG_TOKEN;
  if (text.length <= characters) return undefined;
  const start = text.slice(0, characters).replace(/[\uD800-\uDBFF]$/, '');
  return tokenizer.tokens(start).length > room ? start : undefined;
}
