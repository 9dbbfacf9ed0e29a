import { canonicalJson } from './disk/hash.ts';

const LONGEST_VALUE = 60;

/** Returns the differences between two sets of settings (plain JSON), each as `sampling.topP: 0.9, now 0.8`. */
export function describeChanges(before: unknown, after: unknown, path = ''): string[] {
  if (isObject(before) && isObject(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...keys].flatMap((key) => describeChanges(before[key], after[key], path === '' ? key : `${path}.${key}`));
  }
  const [old, now] = [before, after].map((value) => (value === undefined ? 'none' : canonicalJson(value)));
  return old === now ? [] : [`${path}: ${shorten(old!)}, now ${shorten(now!)}`];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shorten(text: string): string {
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}...` : text;
}
