/** OpenAI-compatible servers' names for the limit on new tokens. */
export type LimitName = 'max_tokens' | 'max_completion_tokens';

/** A setting of a call that some servers or models do not support. */
export interface Parameter {
  readonly name: string;
  /** The option with which the user sets it; undefined if only this package sends it. */
  readonly option?: string;
  /** The value at which omitting the setting changes nothing, to show to the user. */
  readonly neutralValue?: string;
  /** What the user should know about its absence. */
  readonly consequence?: string;
  /** Returns whether a server behaves the same without the setting. */
  isNeutral(body: Readonly<Record<string, unknown>>): boolean;
}

const always = (): boolean => true;

export const PARAMETERS: readonly Parameter[] = [
  {
    name: 'top_p',
    option: '--top-p',
    neutralValue: '1',
    consequence: 'that changes nothing',
    // The most likely token is in every nucleus.
    isNeutral: ({ top_p, temperature }) => top_p === 1 || temperature === 0,
  },
  {
    name: 'temperature',
    option: '--temperature',
    neutralValue: '1',
    consequence: 'the server uses 1, as requested',
    isNeutral: ({ temperature }) => temperature === 1,
  },
  { name: 'seed', option: '--seed', consequence: 'texts cannot be reproduced', isNeutral: always },
  { name: 'top_k', option: '--top-k', neutralValue: '0', isNeutral: ({ top_k }) => top_k === 0 },
  { name: 'min_p', isNeutral: ({ min_p }) => min_p === 0 },
  { name: 'samplers', isNeutral: always },
  { name: 'logprobs', option: '--log-probabilities', consequence: 'none are recorded', isNeutral: always },
  { name: 'encoding_format', isNeutral: always },
];

/** Settings beyond OpenAI's own. A server that refuses one without naming it receives none of them. */
export const EXTRAS: readonly string[] = ['top_k', 'min_p', 'samplers'];

/** Returns whether a text names a setting as a separate word, so that `n` is not found in `not`. */
export function isNamed(name: string, words: string): boolean {
  return new RegExp(`(^|[^a-z0-9_])${name}([^a-z0-9_]|$)`, 'i').test(words);
}
