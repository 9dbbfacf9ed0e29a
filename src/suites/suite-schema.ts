import { realpath, stat } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import type { HubSource } from '../data/index.ts';
import { describeIssues, readTextFile } from '../files/index.ts';
import { DataError } from '../system/index.ts';

/** Where a set comes from. */
export type SetSource =
  | { kind: 'folder'; folder: string }
  /** A data set of BEIR, or one of the data sets inside its zip. */
  | { kind: 'beir'; name: string; part?: string | undefined }
  /** Data of another layout, by the name of their folder. */
  | { kind: 'hub'; name: string; source: HubSource };

/** One collection of a suite, with the split whose queries are evaluated. */
export interface SuiteSet {
  name: string;
  split: string;
  source: SetSource;
  /** The row that it is a part of: its score counts only in the mean of the group. */
  group?: string | undefined;
  /** Documents, and judged queries of the split, if they are known before it is there. */
  documents?: number | undefined;
  queries?: number | undefined;
}

/** Systems by name, as they are written in a file: a mapping of keys to values. */
export type SystemTexts = Record<string, Record<string, unknown>>;

export interface Suite {
  name: string;
  sets: SuiteSet[];
  /** Sets without which the mean is reported as well, because models are trained on them. */
  without?: string | undefined;
  systems?: SystemTexts | undefined;
  baseline?: string | undefined;
}

/** A name that can be part of a path, of a TREC run's tag and of a column's title. */
export const nameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][\w.+-]*(\/[A-Za-z0-9][\w.+-]*)?$/, 'expected letters, digits and _ . + - as a name');

const setSchema = z.strictObject({
  dir: z.string().min(1),
  split: z.string().min(1).default('test'),
  group: nameSchema.optional(),
});

const setsSchema = z.record(nameSchema, setSchema).superRefine((sets, context) => {
  if (Object.keys(sets).length === 0) context.addIssue({ code: 'custom', message: 'expected at least one set' });
  for (const [name, { group }] of Object.entries(sets)) {
    if (group === undefined || group === name || !Object.hasOwn(sets, group)) continue;
    // Both would be one row of the table.
    const message = `the group ${group} has the name of a set; give one of them another name`;
    context.addIssue({ code: 'custom', path: [name, 'group'], message });
  }
});

const fileSchema = z.strictObject({
  name: nameSchema.default('own'),
  sets: setsSchema,
  systems: z.record(nameSchema, z.record(z.string(), z.unknown())).optional(),
  baseline: nameSchema.optional(),
});

/** A larger file is not the list of a suite, and could fill the memory. */
const MOST_BYTES = 2 ** 20;

/** Reads a suite of one's own collections. Folders and files are relative to the file. @throws DataError naming the line or the key */
export async function readSuiteFile(path: string): Promise<Suite> {
  const file = resolve(path);
  const { name, sets, systems, baseline } = await parseFile(file);
  const place = dirname(file);
  return {
    ...{ name, baseline, systems: systems && (await placeFiles(systems, Object.keys(sets), file)) },
    sets: Object.entries(sets).map(([set, { dir, split, group }]) => {
      return { name: set, split, group, source: { kind: 'folder', folder: resolve(place, dir) } };
    }),
  };
}

/** Files that a system may name. */
const FILE_KEYS = ['expansions', 'gate'];

/**
 * Makes the files that systems name relative to the suite's file. They must lie in its folder: a suite may come from someone else, and must
 * not have other files read.
 * @throws DataError that names the system
 */
async function placeFiles(systems: SystemTexts, sets: readonly string[], file: string): Promise<SystemTexts> {
  const home = dirname(file);
  const placed: SystemTexts = {};
  for (const [name, keys] of Object.entries(systems)) {
    placed[name] = { ...keys };
    for (const [written, given] of Object.entries(keys)) {
      const key = written.trim();
      if (!FILE_KEYS.includes(key) || typeof given !== 'string') continue;
      const path = resolve(home, given);
      for (const set of sets) {
        if (await isInside(home, path.replaceAll('{set}', set))) continue;
        throw new DataError(`system ${name}: ${key} names a file outside of the folder of the suite`, {
          file,
          fix: `Move it there, or pass the system on the command line: --system ${name}=RETRIEVER,${key}=FILE.`,
        });
      }
      placed[name][written] = path;
    }
  }
  return placed;
}

/** Follows links, as far as the file is there. */
async function isInside(folder: string, path: string): Promise<boolean> {
  const real = async (one: string) => realpath(one).catch(() => resolve(one));
  const isBelow = (home: string, one: string) => one.startsWith(`${home}${sep}`);
  return isBelow(folder, path) && (isBelow(await real(folder), await real(path)) || (await real(path)) === path);
}

async function parseFile(file: string): Promise<z.output<typeof fileSchema>> {
  const fix = 'A suite is a mapping: sets: {NAME: {dir: FOLDER, split: test}}; see docs/suites.md.';
  const found = await stat(file).catch(() => undefined);
  if (found !== undefined && !found.isFile()) throw new DataError('is not a file', { file, fix });
  if (found !== undefined && found.size > MOST_BYTES) {
    throw new DataError(`has ${found.size} bytes, but a suite has at most ${MOST_BYTES}`, { file, fix });
  }
  const document = parseDocument(await readTextFile(file), { lineCounter: new LineCounter(), logLevel: 'error' });
  const [broken] = document.errors;
  if (broken !== undefined) {
    // Not what the file holds: it may be another one than the user thinks.
    const [reason] = broken.message.split(/ at line |[:"'`\n]/);
    throw new DataError(`is not YAML: ${reason}`, { file, line: broken.linePos?.[0].line, fix });
  }
  const parsed = fileSchema.safeParse(document.toJS({ maxAliasCount: 100 }));
  if (parsed.success) return parsed.data;
  throw new DataError(describeIssues(parsed.error), { file, fix });
}
