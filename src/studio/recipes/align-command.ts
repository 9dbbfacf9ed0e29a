import { join } from 'node:path';
import { parseRecipe, type Recipe } from '../../pipeline/index.ts';
import { contentKey, LlmQeError, shellWord } from '../../system/index.ts';
import type { CheckedRecipe, Consent } from '../shapes/recipes.ts';
import { OWN_FOLDER } from './run-folder.ts';
import type { RunOptions } from './run-options.ts';

/** The file in the folder of a run that holds the recipe with which the studio started it. */
export const RECIPE_FILE = join(OWN_FOLDER, 'recipe.yaml');

/** Whether a run needs `--allow-code`. */
export function hasCode(consents: readonly Consent[]): boolean {
  return consents.some(({ kind }) => kind === 'code');
}

/** The options of `llm-qe align`. */
export function optionWords({ engine, threads, offline }: RunOptions, hasCode: boolean): string[] {
  return [
    ...(engine === 'local' ? [] : ['--engine', engine]),
    ...(threads === undefined ? [] : ['--threads', `${threads}`]),
    ...(offline ? ['--offline'] : []),
    ...(hasCode ? ['--allow-code'] : []),
  ];
}

interface Asked {
  source: string;
  text: string;
  out: string;
  options: RunOptions;
  hasCode: boolean;
}

/** The command that does the same: the recipe with what differs from it, or the file that a start writes. */
export function alignCommand(
  recipe: Recipe,
  { source, text, out, options, hasCode: isAllowed }: Asked,
): Pick<CheckedRecipe, 'command' | 'recipeFile'> {
  const sets = differences(recipe, source, text);
  const recipeFile = sets === undefined ? join(out, RECIPE_FILE) : undefined;
  const what = [recipeFile ?? source, ...(sets ?? []).flatMap((one) => ['--set', one])];
  const words = ['llm-qe', 'align', ...what, '--out', out, ...optionWords(options, isAllowed)];
  return { command: words.map(shellWord).join(' '), recipeFile };
}

/** The overrides that make the recipe of the source's text; undefined if none do, such as where a key was removed. */
function differences(recipe: Recipe, source: string, text: string): string[] | undefined {
  try {
    const before = leaves(parseRecipe(text, source));
    const after = leaves(recipe);
    const sets = [...after]
      .filter(([key, value]) => contentKey([before.get(key)]) !== contentKey([value]))
      .map(([key, value]) => `${key}=${typeof value === 'string' && isPlain(value) ? value : JSON.stringify(value)}`);
    // A word is printed with single blanks.
    if (sets.some((one) => /\s\s|[\n\t]/.test(one)) || sets.length > 20) return undefined;
    const again = parseRecipe(text, source, sets);
    return contentKey(again) === contentKey(recipe) ? sets : undefined;
  } catch (error) {
    if (!(error instanceof LlmQeError)) throw error;
    // The text alone is no complete recipe.
    return undefined;
  }
}

function isPlain(value: string): boolean {
  return /^[a-z][\w./-]*$/i.test(value) && !/^(true|false|null|yes|no|on|off)$/i.test(value);
}

/** The settings of a recipe by their keys; sections are descended into, lists and tables are values. */
function leaves(value: object, key = '', found = new Map<string, unknown>()): Map<string, unknown> {
  for (const [name, inner] of Object.entries(value)) {
    const here = key === '' ? name : `${key}.${name}`;
    const isSection = typeof inner === 'object' && inner !== null && !Array.isArray(inner) && !TABLES.test(here);
    if (isSection) leaves(inner as object, here, found);
    else if (inner !== undefined) found.set(here, inner);
  }
  return found;
}

const TABLES = /^reward\.weights$|\.chatTemplateKwargs$/;
