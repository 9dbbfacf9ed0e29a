import { join } from 'node:path';
import { z } from 'zod';
import {
  type EditedRecipe,
  ENGINES,
  editRecipe,
  JUDGING_FOLDER,
  parseRecipe,
  type Recipe,
} from '../../pipeline/index.ts';
import { contentKey, LlmQeError, redact, shellWord } from '../../system/index.ts';
import type { CheckedRecipe, FormFault, RecipeForm } from '../shapes/recipes.ts';
import { consentsOf } from './consents.ts';
import { readSource } from './sources.ts';

/** How a run is started, apart from its recipe. */
export const runOptionsSchema = z.object({
  engine: z.enum(ENGINES).default('local'),
  threads: z.number().int().positive().max(4096).optional(),
  offline: z.boolean().default(false),
});
export type RunOptions = z.output<typeof runOptionsSchema>;

/** What the form sends. */
export const recipeFormSchema = runOptionsSchema.extend({
  source: z.string().min(1).max(1100),
  edits: z.array(z.object({ key: z.string().min(1).max(200), yaml: z.string().max(50_000).nullable() })).max(500),
  run: z.string().max(1000).default(''),
});

/** What would be run, checked. */
export interface Draft extends CheckedRecipe {
  /** Of recipe, code, servers and options: of all that is confirmed and started. */
  id: string;
  /** Undefined if there are faults. */
  recipe: Recipe | undefined;
  options: RunOptions;
}

/**
 * Checks what a form says.
 * @param place.folder where files of recipes are; `place.runs`: where the run will be
 * @throws RequestError if there is no such recipe, DataError if it is no YAML mapping
 */
export async function draftOf(form: RecipeForm, place: { folder: string; runs: string }): Promise<Draft> {
  const { source, edits } = form;
  const text = await readSource(place.folder, source);
  const edited = editRecipe(text, source, edits);
  const run = form.run.trim() || `${edited.content.name ?? ''}`;
  return checkedDraft(edited, { source, text, run, runs: place.runs, options: runOptionsSchema.parse(form) });
}

/** The draft that starts a run again, with the recipe and the options of its last start. @param file its recipe, as it is shown */
export function draftOfRun(text: string, file: string, known: { run: string; runs: string; options: RunOptions }) {
  return checkedDraft(editRecipe(text, file, []), { source: file, text, ...known });
}

async function checkedDraft(edited: EditedRecipe, { run, runs, options, source, text }: Origin): Promise<Draft> {
  const faults: FormFault[] = [...edited.faults, ...secretsIn(edited.content), ...runFaults(run)];
  const shown = { yaml: redact(edited.yaml), run };
  if (edited.recipe === undefined || faults.length > 0) {
    return { ...shown, faults, command: '', consents: [], id: '', recipe: undefined, options };
  }
  const { recipe, yaml } = edited;
  try {
    const consents = await consentsOf(recipe);
    const id = contentKey({ yaml, run, options, consents: consents.map((one) => one.id) });
    const words = wordsOf(recipe, { source, text, out: join(runs, run), options, hasCode: hasCode({ consents }) });
    const command = words.map(shellWord).join(' ');
    return { ...shown, faults, command, consents, id, recipe, options };
  } catch (error) {
    // A reward that does not exist.
    if (!(error instanceof LlmQeError)) throw error;
    const fault = { key: 'reward.weights', message: error.message, fix: error.fix };
    return { ...shown, faults: [fault], command: '', consents: [], id: '', recipe: undefined, options };
  }
}

export function hasCode({ consents }: Pick<CheckedRecipe, 'consents'>): boolean {
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

interface Origin {
  source: string;
  text: string;
  run: string;
  runs: string;
  options: RunOptions;
}

interface Asked {
  source: string;
  text: string;
  out: string;
  options: RunOptions;
  hasCode: boolean;
}

/** The command that does the same: the recipe with what differs from it, or the file that the run will read. */
function wordsOf(recipe: Recipe, { source, text, out, options, hasCode }: Asked): string[] {
  const sets = differences(recipe, source, text);
  const what =
    sets === undefined ? [join(out, 'studio', 'recipe.yaml')] : [source, ...sets.flatMap((one) => ['--set', one])];
  return ['llm-qe', 'align', ...what, '--out', out, ...optionWords(options, hasCode)];
}

/** The overrides that make the recipe of the source's text; undefined if none do, such as where a key was removed. */
function differences(recipe: Recipe, source: string, text: string): string[] | undefined {
  try {
    const before = leaves(parseRecipe(text, source));
    const after = leaves(recipe);
    if ([...before.keys()].some((key) => !after.has(key))) return undefined;
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

/** Passwords and keys belong neither into the page nor into the folder of a run. */
function secretsIn(value: unknown, path: readonly string[] = []): FormFault[] {
  if (typeof value === 'string' && redact(value) !== value) {
    return [
      {
        key: path.join('.'),
        message: 'holds a password or key, which the studio neither shows nor stores',
        fix: 'Put the key into the environment variable OPENAI_API_KEY, or start this recipe at the command line.',
      },
    ];
  }
  // Deeper nesting was refused before.
  if (typeof value !== 'object' || value === null || path.length > 32) return [];
  const isList = Array.isArray(value);
  return Object.entries(value).flatMap(([key, inner]) => secretsIn(inner, isList ? path : [...path, key]));
}

/** A run is a folder below the runs, and nowhere else. */
export function runFaults(run: string): FormFault[] {
  const isName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(run);
  if (isName && run.toLowerCase() !== JUDGING_FOLDER) return [];
  return [
    {
      key: 'run',
      message: isName ? `${JUDGING_FOLDER} is the folder of judging sessions` : 'is not a name for a run',
      fix: 'Use up to 100 letters, digits, dots, dashes and underscores; the first is a letter or digit.',
    },
  ];
}
