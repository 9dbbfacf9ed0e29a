import type { z } from 'zod';
import { type RenamedSettings, renamedSetting } from '../../system/index.ts';
import { RENAMED_KEYS } from './recipe-schema.ts';

/** The path to a key of a recipe, as a list of names. */
export type KeyPath = readonly PropertyKey[];

/** Keys with a special meaning in JavaScript, which are never allowed, whatever the schema says. */
const FORBIDDEN: readonly string[] = ['__proto__', 'constructor', 'prototype'];

/** An invalid key, and what may have been meant. */
export interface KeyFault {
  /** The path up to the first invalid key. */
  path: KeyPath;
  message: string;
  fix: string;
}

/**
 * Checks a path against the schema of a recipe.
 * @param content the known content of the recipe, which determines the keys of a section with a `kind`
 * @returns undefined if the key exists
 */
export function checkPath(path: KeyPath, content: unknown, recipe: z.ZodType): KeyFault | undefined {
  let schema = recipe;
  let value = content;
  for (const [depth, part] of path.entries()) {
    const key = String(part);
    const here = path.slice(0, depth + 1);
    const keys = keysOf(schema, value);
    if (FORBIDDEN.includes(key))
      return { path: here, message: 'is not allowed as a key', fix: fixOf(here, keys, recipe) };
    if (keys === undefined) {
      const of = path.slice(0, depth).map(String).join('.');
      return { path: here, message: `${of} has no keys`, fix: `Set ${of} itself.` };
    }
    if (keys !== 'any' && !Object.hasOwn(keys, key)) return unknownKey(here, keys, recipe);
    schema = keys === 'any' ? valueSchema(schema) : keys[key]!;
    value = ownValue(value, key);
  }
  return undefined;
}

/** Describes a key that the schema does not know. @param content as in {@link checkPath} */
export function describeUnknown(path: KeyPath, content: unknown, recipe: z.ZodType): KeyFault {
  return checkPath(path, content, recipe) ?? { path, message: 'there is no such key', fix: fixOf(path, {}, recipe) };
}

/** Deeper than any recipe. An alias to its own parent would never end. */
const MOST_LEVELS = 32;

/** Finds a key or a value that is not allowed anywhere in a recipe. */
export function findForbidden(content: unknown, path: KeyPath = []): Pick<KeyFault, 'path' | 'message'> | undefined {
  if (content === null || content === undefined) return { path, message: 'has no value' };
  if (typeof content === 'string') {
    return content.includes('\0') ? { path, message: 'holds a NUL character' } : undefined;
  }
  if (typeof content !== 'object') return undefined;
  if (path.length > MOST_LEVELS) return { path: path.slice(0, 1), message: 'is nested too deeply' };
  for (const key of Object.keys(content)) {
    const here = [...path, key];
    if (FORBIDDEN.includes(key)) return { path: here, message: 'is not allowed as a key' };
    if (key.includes('\0')) return { path: here, message: 'holds a NUL character' };
    const found = findForbidden((content as Record<string, unknown>)[key], here);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The key that selects the kind of the section at a path, such as `kind` of `data`; undefined if there is none. */
export function discriminatorAt(path: KeyPath, recipe: z.ZodType): string | undefined {
  let schema = recipe;
  for (const key of path) {
    const keys = keysOf(schema, undefined);
    if (keys === undefined || keys === 'any' || !Object.hasOwn(keys, String(key))) return undefined;
    schema = keys[String(key)]!;
  }
  return (core(schema).def as { discriminator?: string }).discriminator;
}

/** The keys of the section at a path, given the value of its discriminator in `content`. */
export function keysOfVariant(path: KeyPath, content: unknown, recipe: z.ZodType): readonly string[] {
  let schema = recipe;
  for (const key of path) {
    const keys = keysOf(schema, undefined);
    if (keys === undefined || keys === 'any' || !Object.hasOwn(keys, String(key))) return [];
    schema = keys[String(key)]!;
  }
  const keys = keysOf(schema, content);
  return keys === undefined || keys === 'any' ? [] : Object.keys(keys);
}

type Shape = Readonly<Record<string, z.ZodType>>;

/** The keys of a section: `any` for a record; undefined if it has no keys. */
function keysOf(schema: z.ZodType, content: unknown): Shape | 'any' | undefined {
  const inner = core(schema);
  const { type, options, discriminator } = inner.def as {
    type: string;
    options?: z.ZodType[];
    discriminator?: string;
  };
  if (type === 'record') return 'any';
  if (options === undefined) return (inner as { shape?: Shape }).shape;
  const chosen = discriminator === undefined ? undefined : ownValue(content, discriminator);
  const shapes = options.map((one) => (core(one) as { shape?: Shape }).shape ?? {});
  const fitting = shapes.filter((shape) => valuesOf(shape[discriminator ?? '']).includes(chosen));
  return Object.assign({}, ...(fitting.length > 0 ? fitting : shapes)) as Shape;
}

function valueSchema(schema: z.ZodType): z.ZodType {
  return (core(schema).def as unknown as { valueType: z.ZodType }).valueType;
}

function valuesOf(literal: z.ZodType | undefined): readonly unknown[] {
  return literal === undefined ? [] : ((core(literal).def as { values?: unknown[] }).values ?? []);
}

/** Strips wrappers such as defaults and optional. */
function core(schema: z.ZodType): z.ZodType {
  const { innerType } = schema.def as { innerType?: z.ZodType };
  return innerType === undefined ? schema : core(innerType);
}

function ownValue(content: unknown, key: string): unknown {
  if (content === null || typeof content !== 'object' || !Object.hasOwn(content, key)) return undefined;
  return (content as Record<string, unknown>)[key];
}

function unknownKey(path: KeyPath, keys: Shape, recipe: z.ZodType): KeyFault {
  const key = String(path.at(-1));
  const section = path.length === 2 ? String(path[0]) : '';
  const renamed: RenamedSettings = Object.hasOwn(RENAMED_KEYS, section) ? RENAMED_KEYS[section]! : {};
  const old = renamedSetting(key, renamed, (name) => [...path.slice(0, -1), name].map(String).join('.'));
  if (old !== undefined) return { path, ...old };
  return { path, message: 'there is no such key', fix: fixOf(path, keys, recipe) };
}

/** Suggests a fix: a similar key here, or the same key elsewhere, and the list of keys here. */
function fixOf(path: KeyPath, keys: Shape | 'any' | undefined, recipe: z.ZodType): string {
  if (keys === undefined || keys === 'any') return 'Use another name.';
  const names = Object.keys(keys);
  const key = String(path.at(-1));
  const near = nearest(key, names);
  const meant = near === undefined ? placesOf(key, recipe) : [[...path.slice(0, -1), near].map(String).join('.')];
  const question = meant.length === 0 ? '' : `Did you mean ${meant.join(' or ')}? `;
  return `${question}Known keys here are ${names.join(', ')}.`;
}

/** Sections that have a key of this name. */
function placesOf(key: string, recipe: z.ZodType): string[] {
  const sections = keysOf(recipe, undefined);
  if (sections === undefined || sections === 'any') return [];
  return Object.entries(sections).flatMap(([section, schema]) => {
    const keys = keysOf(schema, undefined);
    return keys !== undefined && keys !== 'any' && Object.hasOwn(keys, key) ? [`${section}.${key}`] : [];
  });
}

/** The most similar name, if at most a third of its letters differ. */
function nearest(key: string, names: readonly string[]): string | undefined {
  const measured = names.map((name) => ({ name, edits: editsBetween(key.toLowerCase(), name.toLowerCase()) }));
  const best = measured.sort((a, b) => a.edits - b.edits)[0];
  return best !== undefined && best.edits <= Math.max(1, Math.floor(best.name.length / 3)) ? best.name : undefined;
}

/** The number of insertions, deletions and changes of letters between two words (Levenshtein). */
function editsBetween(a: string, b: string): number {
  const long = 64;
  if (a.length > long || b.length > long) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_none, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
