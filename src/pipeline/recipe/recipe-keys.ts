import type { z } from 'zod';
import { type RenamedSettings, renamedSetting } from '../../system/index.ts';
import { RENAMED_KEYS } from './recipe-schema.ts';

/** A key of a recipe, as the names on the way to it. */
export type KeyPath = readonly PropertyKey[];

/** Keys that JavaScript reads as an object's own machinery: nobody may set one, whatever the schema says. */
const FORBIDDEN: readonly string[] = ['__proto__', 'constructor', 'prototype'];

/** A key that cannot be, and what may have been meant. */
export interface KeyFault {
  /** Up to the first key that cannot be. */
  path: KeyPath;
  message: string;
  fix: string;
}

/**
 * Holds a path against the schema of a recipe.
 * @param content what is known of the recipe: it tells which keys a section with a `kind` has
 * @returns undefined for a key that there is
 */
export function checkPath(path: KeyPath, content: unknown, recipe: z.ZodType): KeyFault | undefined {
  let schema = recipe;
  let value = content;
  for (const [depth, part] of path.entries()) {
    const key = String(part);
    const here = path.slice(0, depth + 1);
    const keys = keysOf(schema, value);
    if (FORBIDDEN.includes(key)) return { path: here, message: 'is no name for a key', fix: fixOf(here, keys, recipe) };
    if (keys === undefined) {
      const of = path.slice(0, depth).map(String).join('.');
      return { path: here, message: `${of} holds no keys`, fix: 'Set it as a whole.' };
    }
    if (keys !== 'any' && !Object.hasOwn(keys, key)) return unknownKey(here, keys, recipe);
    schema = keys === 'any' ? valueSchema(schema) : keys[key]!;
    value = ownValue(value, key);
  }
  return undefined;
}

/** What to say of a key that the schema does not know. @param content as in {@link checkPath} */
export function describeUnknown(path: KeyPath, content: unknown, recipe: z.ZodType): KeyFault {
  return checkPath(path, content, recipe) ?? { path, message: 'there is no such key', fix: fixOf(path, {}, recipe) };
}

/** Deeper than any recipe; an alias to what it stands in goes on for ever. */
const MOST_LEVELS = 32;

/** Finds a key or a value that no recipe may hold, whatever its place. */
export function findForbidden(content: unknown, path: KeyPath = []): Pick<KeyFault, 'path' | 'message'> | undefined {
  if (content === null || content === undefined) return { path, message: 'has no value' };
  if (typeof content === 'string') {
    return content.includes('\0') ? { path, message: 'holds a NUL character' } : undefined;
  }
  if (typeof content !== 'object') return undefined;
  if (path.length > MOST_LEVELS) return { path: path.slice(0, 1), message: 'is nested too deeply' };
  for (const key of Object.keys(content)) {
    const here = [...path, key];
    if (FORBIDDEN.includes(key)) return { path: here, message: 'is no name for a key' };
    if (key.includes('\0')) return { path: here, message: 'holds a NUL character' };
    const found = findForbidden((content as Record<string, unknown>)[key], here);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The key that tells the shape of the section at a path, such as `kind` of `data`; undefined if there is none. */
export function discriminatorAt(path: KeyPath, recipe: z.ZodType): string | undefined {
  let schema = recipe;
  for (const key of path) {
    const keys = keysOf(schema, undefined);
    if (keys === undefined || keys === 'any' || !Object.hasOwn(keys, String(key))) return undefined;
    schema = keys[String(key)]!;
  }
  return (core(schema).def as { discriminator?: string }).discriminator;
}

/** The keys of the section at a path, if its discriminator has a certain value. */
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

/** The keys of a section: `any` of a record; undefined of what holds no keys. */
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

/** Without defaults, options and descriptions around it. */
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

/** What may have been meant: a like key here, the same key elsewhere, and all keys that there are here. */
function fixOf(path: KeyPath, keys: Shape | 'any' | undefined, recipe: z.ZodType): string {
  if (keys === undefined || keys === 'any') return 'Choose another name.';
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

/** The name that differs least, if it differs by less than half of its letters. */
function nearest(key: string, names: readonly string[]): string | undefined {
  const measured = names.map((name) => ({ name, edits: editsBetween(key.toLowerCase(), name.toLowerCase()) }));
  const best = measured.sort((a, b) => a.edits - b.edits)[0];
  return best !== undefined && best.edits <= Math.max(1, Math.floor(best.name.length / 3)) ? best.name : undefined;
}

/** Insertions, deletions and changes of letters that make one word of another (Levenshtein). */
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
