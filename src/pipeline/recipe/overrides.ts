import { parse } from 'yaml';
import type { z } from 'zod';
import { UsageError } from '../../system/index.ts';
import { checkPath, discriminatorAt, keysOfVariant } from './recipe-keys.ts';

/** One `--set KEY=VALUE`. */
export interface Override {
  words: string;
  path: string[];
  value: unknown;
}

/** Longest text that a message quotes. */
const SHOWN_CHARACTERS = 200;

/** @throws UsageError for what is not KEY=VALUE, or a value that is not YAML */
export function parseOverride(words: string): Override {
  const at = words.indexOf('=');
  const path = words.slice(0, Math.max(0, at)).split('.');
  if (at < 1 || path.some((key) => key.trim() === '')) {
    throw new UsageError(`--set ${shown(words)}: is not KEY=VALUE`, { fix: 'Write --set pairs.minMargin=0.5, say.' });
  }
  try {
    return { words: shown(words), path, value: parse(words.slice(at + 1), { logLevel: 'error' }) as unknown };
  } catch (cause) {
    const fix = 'Quote it: --set key="value".';
    throw new UsageError(`--set ${shown(words)}: the value is not YAML`, { fix, cause });
  }
}

/**
 * Sets a key in the content of a recipe. Where the key tells the shape of its section (`data.kind`), what the file says there and
 * the new shape does not know goes away.
 * @throws UsageError for a key that the schema does not know
 */
export function setIn(content: Record<string, unknown>, { words, path, value }: Override, schema: z.ZodObject): void {
  const fault = checkPath(path, content, schema);
  if (fault !== undefined) {
    const key = fault.path.map(String).join('.');
    throw new UsageError(`--set ${words}: ${key}: ${fault.message}`, { fix: fault.fix });
  }
  const parent = path.slice(0, -1);
  let place = content;
  for (const key of parent) {
    const inner = Object.hasOwn(place, key) ? place[key] : undefined;
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) place[key] = {};
    place = place[key] as Record<string, unknown>;
  }
  const last = path.at(-1)!;
  const isOtherShape = discriminatorAt(parent, schema) === last && Object.hasOwn(place, last) && place[last] !== value;
  place[last] = value;
  if (!isOtherShape) return;
  const known = keysOfVariant(parent, place, schema);
  for (const key of Object.keys(place)) if (!known.includes(key)) delete place[key];
}

function shown(words: string): string {
  return words.length <= SHOWN_CHARACTERS ? words : `${words.slice(0, SHOWN_CHARACTERS)}...`;
}
