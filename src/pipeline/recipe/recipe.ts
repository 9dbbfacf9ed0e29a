import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Document, isMap, LineCounter, parse, parseDocument } from 'yaml';
import type { z } from 'zod';
import { DataError, isThere, systemFault, UsageError } from '../../system/index.ts';
import { type Recipe, recipeSchema } from './recipe-schema.ts';

/** The recipes that come with the package. */
const PACKAGED = fileURLToPath(new URL('../../../recipes/', import.meta.url));

type Path = readonly PropertyKey[];

/** One `--set KEY=VALUE`. */
interface Override {
  words: string;
  path: string[];
  value: unknown;
}

/**
 * Reads a recipe: a YAML file, or the name of one that comes with the package (`demo`, `paper`, `smoke`).
 *
 * @param overrides `key.key=value` each, the value written as in YAML; they replace what the file says
 * @throws DataError naming file, line and key; UsageError for an override that cannot be
 */
export async function readRecipe(fileOrName: string, overrides: readonly string[] = []): Promise<Recipe> {
  const file = await findRecipe(fileOrName);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw systemFault(error, file);
  });
  return parseRecipe(text, file, overrides);
}

/** As {@link readRecipe}, of a text. @param file named by errors */
export function parseRecipe(text: string, file: string, overrides: readonly string[] = []): Recipe {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const broken = document.errors[0];
  if (broken !== undefined) {
    const line = broken.linePos?.[0].line;
    const reason = broken.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '');
    throw new DataError(`is not YAML: ${reason}`, { file, line, fix: 'Fix the line; see recipes/demo.yaml.' });
  }
  const content: unknown = document.toJS() ?? {};
  const given = overrides.map(parseOverride);
  for (const override of given) setIn(content, override);
  const empty = findEmpty(content);
  const parsed = empty === undefined ? recipeSchema.safeParse(content) : undefined;
  if (parsed?.success) return parsed.data;
  const issue = empty ?? flatten(parsed!.error!.issues[0]!);
  throw faultOf(issue, { file, document, lines, overrides: given });
}

/** Whether development queries are needed: not where there is one alpha to choose among, or each arm has its own. */
export function isTuned({ evaluation, sft }: Recipe): boolean {
  const { zeroShot, sft: ofSft, aligned } = evaluation.armAlphas;
  const given = [zeroShot, aligned, ...(sft.enabled ? [ofSft] : [])];
  const isOpen = given.includes(undefined) || evaluation.judges.some((judge) => judge !== 'bm25');
  return isOpen && new Set(evaluation.alphas).size > 1;
}

async function findRecipe(fileOrName: string): Promise<string> {
  if (/^[a-z0-9-]+$/.test(fileOrName)) {
    const packaged = join(PACKAGED, `${fileOrName}.yaml`);
    if (await isThere(packaged)) return packaged;
  }
  return fileOrName;
}

function parseOverride(words: string): Override {
  const at = words.indexOf('=');
  const path = words.slice(0, Math.max(0, at)).split('.');
  if (at < 1 || path.some((key) => key.trim() === '')) {
    throw new UsageError(`--set ${words}: is not KEY=VALUE`, { fix: 'Write --set pairs.minMargin=0.5, say.' });
  }
  try {
    return { words, path, value: parse(words.slice(at + 1)) as unknown };
  } catch (cause) {
    throw new UsageError(`--set ${words}: the value is not YAML`, { fix: 'Quote it: --set key="value".', cause });
  }
}

function setIn(content: unknown, { words, path, value }: Override): void {
  let place = content;
  for (const [depth, key] of path.entries()) {
    if (place === null || typeof place !== 'object' || Array.isArray(place)) {
      throw new UsageError(`--set ${words}: ${path.slice(0, depth).join('.')} holds no keys`, {
        fix: 'Set it as a whole.',
      });
    }
    const map = place as Record<string, unknown>;
    if (depth === path.length - 1) map[key] = value;
    else map[key] ??= {};
    place = map[key];
  }
}

interface Issue {
  path: Path;
  message: string;
  /** The key itself is the fault, not its value. */
  unknownKey?: string | undefined;
}

/** A key without a value would be read as 0 or as "not given"; it is neither. */
function findEmpty(content: unknown, path: Path = []): Issue | undefined {
  if (content === null || content === undefined) return { path, message: 'has no value' };
  if (typeof content !== 'object') return undefined;
  for (const [key, value] of Object.entries(content)) {
    const found = findEmpty(value, [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function flatten(issue: z.core.$ZodIssue): Issue {
  if (issue.code !== 'unrecognized_keys') return { path: issue.path, message: issue.message };
  const key = issue.keys[0]!;
  return { path: [...issue.path, key], message: 'there is no such key', unknownKey: key };
}

interface Source {
  file: string;
  document: Document;
  lines: LineCounter;
  overrides: readonly Override[];
}

function faultOf(issue: Issue, { file, document, lines, overrides }: Source): DataError | UsageError {
  const key = issue.path.map(String).join('.');
  const reason = key === '' ? issue.message : `${key}: ${issue.message}`;
  const fix = fixFor(issue);
  const guilty = overrides.find(({ path }) => path.every((part, at) => String(issue.path[at] ?? part) === part));
  if (guilty !== undefined) return new UsageError(`--set ${guilty.words}: ${reason}`, { fix });
  return new DataError(reason, { file, line: lineOf(issue.path, document, lines), fix });
}

/** The line of a key, or of the nearest one above it that the file holds. */
function lineOf(path: Path, document: Document, lines: LineCounter): number | undefined {
  for (let depth = path.length; depth > 0; depth--) {
    const parent = depth === 1 ? document.contents : document.getIn(path.slice(0, depth - 1), true);
    const key = String(path[depth - 1]);
    const pair = isMap(parent) ? parent.items.find((item) => String(item.key) === key) : undefined;
    const node = (pair?.key ?? document.getIn(path.slice(0, depth), true)) as { range?: number[] } | undefined;
    if (node?.range !== undefined) return lines.linePos(node.range[0]!).line;
  }
  return undefined;
}

function fixFor({ path, unknownKey }: Issue): string {
  const known = keysAt(unknownKey === undefined ? path.slice(0, -1) : path.slice(0, -1));
  if (unknownKey === undefined || known.length === 0) return 'See docs/alignment.md for what each key takes.';
  return `Known keys here are ${known.join(', ')}.`;
}

/** Keys of the schema at a path. */
function keysAt(path: Path): string[] {
  let schema: z.ZodType = recipeSchema;
  for (const key of path) {
    const shape = shapeOf(schema);
    const next = shape?.[String(key)];
    if (next === undefined) return [];
    schema = next;
  }
  return Object.keys(shapeOf(schema) ?? {});
}

function shapeOf(schema: z.ZodType): Record<string, z.ZodType> | undefined {
  let inner = schema as { def: { type: string; innerType?: z.ZodType; options?: z.ZodType[] }; shape?: unknown };
  while (inner.def.innerType !== undefined) inner = inner.def.innerType as unknown as typeof inner;
  if (inner.def.options !== undefined) return Object.assign({}, ...inner.def.options.map((one) => shapeOf(one) ?? {}));
  return inner.shape as Record<string, z.ZodType> | undefined;
}
