import { join } from 'node:path';
import { z } from 'zod';
import { type EditedRecipe, editRecipe, JUDGING_FOLDER, type Recipe } from '../../pipeline/index.ts';
import { contentKey, LlmQeError, redact } from '../../system/index.ts';
import type { CheckedRecipe, FormFault, RecipeForm } from '../shapes/recipes.ts';
import { alignCommand, hasCode } from './align-command.ts';
import { consentsOf } from './consents.ts';
import { type RunOptions, runOptionsSchema } from './run-options.ts';
import { readSource } from './sources.ts';

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
  const shown = { yaml: redact(edited.yaml), run };
  const faults: FormFault[] = [...edited.faults, ...secretsIn(edited, shown.yaml), ...runFaults(run)];
  const refused = { ...shown, command: '', consents: [], id: '', recipe: undefined, options };
  if (edited.recipe === undefined || faults.length > 0) return { ...refused, faults };
  const { recipe, yaml } = edited;
  try {
    const consents = await consentsOf(recipe);
    const id = contentKey({ yaml, run, options, consents: consents.map((one) => one.id) });
    const asked = { source, text, out: join(runs, run), options, hasCode: hasCode(consents) };
    return { ...shown, faults, ...alignCommand(recipe, asked), consents, id, recipe, options };
  } catch (error) {
    // A reward that does not exist.
    if (!(error instanceof LlmQeError)) throw error;
    return { ...refused, faults: [{ key: 'reward.weights', message: error.message, fix: error.fix }] };
  }
}

interface Origin {
  source: string;
  text: string;
  run: string;
  runs: string;
  options: RunOptions;
}

/** Passwords and keys belong neither into the page nor into the folder of a run. @param shown the YAML without them */
function secretsIn({ content, yaml }: EditedRecipe, shown: string): FormFault[] {
  const keys = yaml === '' ? [] : keysOfSecrets(content);
  // One in a name, and not in a value, belongs to no field.
  const all = keys.length === 0 && shown !== yaml ? [''] : keys;
  return all.map((key) => ({
    key,
    message: 'holds a password or key, which the studio neither shows nor stores',
    fix: 'Put the key into the environment variable OPENAI_API_KEY, or start this recipe at the command line.',
  }));
}

function keysOfSecrets(value: unknown, path: readonly string[] = []): string[] {
  if (typeof value === 'string') return redact(value) === value ? [] : [path.join('.')];
  if (typeof value !== 'object' || value === null) return [];
  const isList = Array.isArray(value);
  return Object.entries(value).flatMap(([key, inner]) => keysOfSecrets(inner, isList ? path : [...path, key]));
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
