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

/** Maximum length of a quoted text in a message. */
const SHOWN_CHARACTERS = 200;

/** @throws UsageError if the text is not KEY=VALUE or the value is not YAML */
export function parseOverride(words: string): Override {
  const at = words.indexOf('=');
  const path = words.slice(0, Math.max(0, at)).split('.');
  if (at < 1 || path.some((key) => key.trim() === '')) {
    throw new UsageError(`--set ${shown(words)}: is not KEY=VALUE`, {
      fix: 'Write it like --set pairs.minMargin=0.5.',
    });
  }
  try {
    return { words: shown(words), path, value: parse(words.slice(at + 1), { logLevel: 'error' }) as unknown };
  } catch (cause) {
    const fix = 'Quote the value: --set key="value".';
    throw new UsageError(`--set ${shown(words)}: the value is not YAML`, { fix, cause });
  }
}

/**
 * Sets a key in the content of a recipe. If the key selects the kind of its section (`data.kind`), keys that the new
 * kind does not know are removed.
 * @throws UsageError if the schema does not know the key
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
