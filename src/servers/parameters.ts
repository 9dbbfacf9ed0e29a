/** Names under which OpenAI-compatible servers know the limit on new tokens. */
export type LimitName = 'max_tokens' | 'max_completion_tokens';

/** A setting of a call that some server or model does not take. */
export interface Parameter {
  readonly name: string;
  /** How the user sets it; undefined for what this package sends of its own accord. */
  readonly option?: string;
  /** The value at which leaving it out changes nothing, for the user's sake. */
  readonly neutralValue?: string;
  /** What the user should know of its absence. */
  readonly consequence?: string;
  /** Whether a server that does not get it does the same. */
  isNeutral(body: Readonly<Record<string, unknown>>): boolean;
}

const always = (): boolean => true;

export const PARAMETERS: readonly Parameter[] = [
  {
    name: 'top_p',
    option: '--top-p',
    neutralValue: '1',
    consequence: 'nothing changes by that',
    // The likeliest token is in every nucleus.
    isNeutral: ({ top_p, temperature }) => top_p === 1 || temperature === 0,
  },
  {
    name: 'temperature',
    option: '--temperature',
    neutralValue: '1',
    consequence: 'it takes 1, as was asked for',
    isNeutral: ({ temperature }) => temperature === 1,
  },
  { name: 'seed', option: '--seed', consequence: 'texts cannot be repeated', isNeutral: always },
  { name: 'top_k', option: '--top-k', neutralValue: '0', isNeutral: ({ top_k }) => top_k === 0 },
  { name: 'min_p', isNeutral: ({ min_p }) => min_p === 0 },
  { name: 'samplers', isNeutral: always },
  { name: 'encoding_format', isNeutral: always },
];

/** Settings beyond OpenAI's own. A server that refuses one without naming it gets none of them. */
export const EXTRAS: readonly string[] = ['top_k', 'min_p', 'samplers'];

/** Whether a text names a setting: as a word of its own, so that `n` is not found in `not`. */
export function isNamed(name: string, words: string): boolean {
  return new RegExp(`(^|[^a-z0-9_])${name}([^a-z0-9_]|$)`, 'i').test(words);
}
