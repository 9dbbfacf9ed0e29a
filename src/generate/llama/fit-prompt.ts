import type { GenerationRequest } from '../generator.ts';

/** The tokenizer functions that fitting a prompt needs. */
export interface PromptTokenizer {
  /** Tokens of the complete prompt, including the chat template. */
  promptTokens(messages: GenerationRequest['messages']): number[];
  /** Tokens of a piece of text. */
  tokens(text: string): number[];
  textOf(tokens: number[]): string;
}

export interface FittedPrompt {
  /** At least `room` tokens if the prompt cannot be made to fit; the list is then not always complete. */
  tokens: number[];
  /** Whether the request's cuttable part was cut. */
  cut: boolean;
}

/** Limits in tokens. */
export interface PromptRoom {
  /** A prompt that must be cut is cut to this length. */
  limit: number;
  /** A prompt must be shorter than this: the size of the context. */
  room: number;
}

/** Assumed maximum number of characters per token. If a text is longer than the room times this, its beginning is tried first. */
const LONG_TOKEN = 32;

/**
 * Tokenises a request's prompt, and cuts the end of its cuttable part if the prompt is longer than `limit` tokens. The rest
 * (instruction, query, template) is never cut. If there is no such part, or if removing all of it is not enough, the returned
 * prompt is longer than the limit. Time and memory do not grow with the length of the text that is cut off.
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
  // Tokens at the seams may join differently, so the first cut can be too short by a token or two.
  for (let kept = part.length; tokens.length > limit && kept > 0; ) {
    kept = Math.max(0, kept - (tokens.length - limit));
    const text = tokenizer.textOf(part.slice(0, kept)).replace(/\uFFFD+$/, '');
    tokens = tokenizer.promptTokens(cuttable.messagesWith(text));
  }
  return { tokens, cut: true };
}

/** Returns the beginning of a text if that alone is longer than the room; undefined if the complete text must be read. */
function startOf(text: string, room: number, tokenizer: PromptTokenizer): string | undefined {
  const characters = room * LONG_TOKEN;
  if (text.length <= characters) return undefined;
  const start = text.slice(0, characters).replace(/[\uD800-\uDBFF]$/, '');
  return tokenizer.tokens(start).length > room ? start : undefined;
}
