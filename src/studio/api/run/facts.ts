import type { Facts } from '../../shapes/runs.ts';

/** More values than any recipe has, and longer than any that is worth reading in a list. */
const MOST = 500;
const LONGEST = 400;
/** Of a hash, the first digits tell contents apart. */
const HASH = /^[0-9a-f]{40,}$/;

/** Settings as names and values: `dpo.beta` and `0.1`. What is too long or too much is cut: the file may be somebody else's. */
export function factsOf(value: unknown): Facts {
  const facts: Facts = [];
  collect(value, '', facts, 0);
  return facts;
}

function collect(value: unknown, name: string, facts: Facts, depth: number): void {
  if (facts.length >= MOST || value === undefined || value === null) return;
  if (isObject(value) && depth < 6) {
    for (const [key, inner] of Object.entries(value))
      collect(inner, name === '' ? key : `${name}.${key}`, facts, depth + 1);
    return;
  }
  const text = HASH.test(`${value}`)
    ? `${value}`.slice(0, 12)
    : typeof value === 'string'
      ? value
      : JSON.stringify(value);
  facts.push([name.slice(0, LONGEST), text.length > LONGEST ? `${text.slice(0, LONGEST)} ...` : text]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
