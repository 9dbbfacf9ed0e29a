import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Document, isMap, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { readTextFile } from '../../files/index.ts';
import { DataError, isThere, systemFault, UsageError } from '../../system/index.ts';
import { type Override, parseOverride, setIn } from './overrides.ts';
import { describeUnknown, findForbidden, type KeyPath } from './recipe-keys.ts';
import { type Recipe, recipeSchema } from './recipe-schema.ts';

/** Folder of the packaged recipes. */
const FOLDER = fileURLToPath(new URL('../../../recipes/', import.meta.url));
/** The names of the packaged recipes. */
export const PACKAGED_RECIPES = ['demo', 'paper', 'smoke'] as const;

/** Maximum size of a recipe. A larger file is not a recipe and could fill the memory. */
const MOST_BYTES = 2 ** 20;

/**
 * Reads a recipe: a YAML file, or the name of a packaged one (`demo`, `paper`, `smoke`).
 *
 * @param overrides each `key.key=value`, with the value in YAML; they replace values of the file
 * @throws DataError naming file, line and key; UsageError for an invalid override
 */
export async function readRecipe(
  fileOrName: string,
  overrides: readonly string[] = [],
  schema: typeof recipeSchema = recipeSchema,
): Promise<Recipe> {
  if (fileOrName.includes('\0')) {
    throw new UsageError('the name of the recipe contains a NUL character', {
      fix: 'Pass a recipe file or one of: demo, paper, smoke.',
    });
  }
  const file = await findRecipe(fileOrName);
  return parseRecipe(await readRecipeText(file), file, overrides, schema);
}

/** Returns the text of a packaged recipe. */
export function packagedRecipe(name: (typeof PACKAGED_RECIPES)[number]): Promise<string> {
  return readRecipeText(join(FOLDER, `${name}.yaml`));
}

/** @throws DataError if the file is missing or too large for a recipe */
async function readRecipeText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > MOST_BYTES) {
      throw new DataError(`has ${size} bytes, but a recipe has at most ${MOST_BYTES}`, {
        file,
        fix: 'Pass a recipe file or one of: demo, paper, smoke.',
      });
    }
    return await readTextFile(file);
  } catch (error) {
    throw systemFault(error, file);
  }
}

/** Like {@link readRecipe}, for a text. @param file name for errors */
export function parseRecipe(
  text: string,
  file: string,
  overrides: readonly string[] = [],
  schema: typeof recipeSchema = recipeSchema,
): Recipe {
  const { content, document, lines } = readYaml(text, file);
  const given = overrides.map(parseOverride);
  const source: Source = { file, document, lines, overrides: given };
  const forbidden = findForbidden(content);
  if (forbidden !== undefined) throw faultOf(forbidden, source);
  if (content === null || typeof content !== 'object' || Array.isArray(content)) {
    throw faultOf({ path: [], message: 'is not a mapping of keys to values' }, source);
  }
  for (const override of given) {
    setIn(content as Record<string, unknown>, override, schema);
    const broken = findForbidden(override.value, override.path);
    if (broken !== undefined) throw faultOf(broken, source);
  }
  const parsed = schema.safeParse(content);
  if (parsed.success) return parsed.data;
  throw faultOf(toIssue(parsed.error.issues[0]!, content, schema), source);
}

/** Whether alpha is chosen on dev queries. It is not if there is only one, or each arm has a fixed one. */
export function isTuned({ evaluation, sft, retriever }: Recipe): boolean {
  const { zeroShot, sft: ofSft, aligned, 'retriever+aligned': ofBoth } = evaluation.armAlphas;
  const given = [zeroShot, aligned, ...(sft.enabled ? [ofSft] : []), ...(retriever.enabled ? [ofBoth] : [])];
  const isOpen = given.includes(undefined) || evaluation.judges.some((judge) => judge !== 'bm25');
  return isOpen && new Set(evaluation.alphas).size > 1;
}

/** Whether something is chosen on dev queries: alpha, the best round, or a checkpoint of the retriever. */
export function needsDev(recipe: Recipe): boolean {
  const { rounds, retriever } = recipe;
  return isTuned(recipe) || rounds > 1 || (trainsEncoder(recipe) && retriever.devSearch);
}

/** Whether an encoder is trained: the retriever, or a student. */
export function trainsEncoder({ retriever, student }: Recipe): boolean {
  return retriever.enabled || student.enabled;
}

async function findRecipe(fileOrName: string): Promise<string> {
  if (/^[a-z0-9-]+$/.test(fileOrName)) {
    const packaged = join(FOLDER, `${fileOrName}.yaml`);
    if (await isThere(packaged)) return packaged;
  }
  return fileOrName;
}

/**
 * Reads the content of a YAML file. Aliases are followed at most a hundred times, because a few lines of nested aliases
 * could fill the memory.
 * @throws DataError naming the line
 */
export function readYaml(text: string, file: string): { content: unknown; document: Document; lines: LineCounter } {
  const lines = new LineCounter();
  const fix = 'Fix the line; see recipes/demo.yaml.';
  try {
    const document = parseDocument(text, { lineCounter: lines, logLevel: 'error' });
    const broken = document.errors[0];
    if (broken !== undefined) {
      const line = broken.linePos?.[0].line;
      const reason = broken.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '');
      throw new DataError(`is not YAML: ${reason}`, { file, line, fix });
    }
    return { content: document.toJS({ maxAliasCount: 100 }) ?? {}, document, lines };
  } catch (cause) {
    const reason = reasonOf(cause);
    if (reason === undefined) throw cause;
    throw new DataError(`is not YAML: ${reason}`, {
      file,
      fix: 'Write the values out without aliases or deep nesting.',
      cause,
    });
  }
}

/**
 * The reason of an error of the YAML reader: an alias without an anchor, too many aliases, or nesting that overflows
 * its stack.
 */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof RangeError) return 'it is nested too deeply';
  return error instanceof ReferenceError ? error.message : undefined;
}

export interface RecipeIssue {
  path: KeyPath;
  message: string;
  fix?: string | undefined;
}

/** Says what is wrong with a key, in the words of the schema. */
export function toIssue(issue: z.core.$ZodIssue, content: unknown, schema: z.ZodType): RecipeIssue {
  if (issue.code === 'unrecognized_keys') return describeUnknown([...issue.path, issue.keys[0]!], content, schema);
  const isMissing = issue.code === 'invalid_type' && valueAt(content, issue.path) === undefined;
  return { path: issue.path, message: isMissing ? 'is missing' : issue.message };
}

function valueAt(content: unknown, path: KeyPath): unknown {
  let value = content;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  return value;
}

interface Source {
  file: string;
  document: Document;
  lines: LineCounter;
  overrides: readonly Override[];
}

function faultOf(issue: RecipeIssue, { file, document, lines, overrides }: Source): DataError | UsageError {
  const key = issue.path.map(String).join('.');
  const reason = key === '' ? issue.message : `${key}: ${issue.message}`;
  const fix = issue.fix ?? 'See docs/alignment.md for the values of each key.';
  const guilty = overrides.find((override) => isGuilty(override, issue.path, document));
  if (guilty !== undefined) return new UsageError(`--set ${guilty.words}: ${reason}`, { fix });
  return new DataError(reason, { file, line: lineOf(issue.path, document, lines), fix });
}

/** Whether an override caused the fault: it set the faulty value, or another key of a section that the file lacks. */
function isGuilty({ path }: Override, fault: KeyPath, document: Document): boolean {
  const isWithin = path.every((part, at) => String(fault[at] ?? part) === part);
  const isBeside =
    path.length === fault.length &&
    path.slice(0, -1).every((part, at) => String(fault[at]) === part) &&
    document.getIn(fault) === undefined;
  return isWithin || isBeside;
}

/** The line of a key, or of its nearest parent in the file. */
function lineOf(path: KeyPath, document: Document, lines: LineCounter): number | undefined {
  for (let depth = path.length; depth > 0; depth--) {
    const parent = depth === 1 ? document.contents : document.getIn(path.slice(0, depth - 1), true);
    const key = String(path[depth - 1]);
    const pair = isMap(parent) ? parent.items.find((item) => String(item.key) === key) : undefined;
    const node = (pair?.key ?? document.getIn(path.slice(0, depth), true)) as { range?: number[] } | undefined;
    if (node?.range !== undefined) return lines.linePos(node.range[0]!).line;
  }
  return undefined;
}
