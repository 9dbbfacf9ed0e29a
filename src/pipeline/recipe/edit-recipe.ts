import { stringify } from 'yaml';
import { UsageError } from '../../system/index.ts';
import { parseOverride, setIn } from './overrides.ts';
import { parseRecipe, type RecipeIssue, readYaml, toIssue } from './recipe.ts';
import { findForbidden } from './recipe-keys.ts';
import { type Recipe, recipeSchema } from './recipe-schema.ts';

/** A change of one key, such as `dpo.beta`. */
export interface RecipeEdit {
  key: string;
  /** The value in YAML, as behind `--set KEY=`; null removes the key. */
  yaml: string | null;
}

/** What is wrong with a key; empty for the recipe as a whole. */
export interface RecipeFault {
  key: string;
  message: string;
  fix?: string | undefined;
}

/** A recipe after some edits. */
export interface EditedRecipe {
  content: Record<string, unknown>;
  /** The same as YAML, which a run of it reads. */
  yaml: string;
  /** Undefined if there are faults. */
  recipe: Recipe | undefined;
  faults: RecipeFault[];
}

/**
 * Applies edits to the text of a recipe and collects all faults, each with its key, where {@link parseRecipe} throws the first.
 * @param file name of the text, for errors
 * @throws DataError if the text is no YAML mapping
 */
export function editRecipe(
  text: string,
  file: string,
  edits: readonly RecipeEdit[],
  schema: typeof recipeSchema = recipeSchema,
): EditedRecipe {
  const content = contentOf(text, file);
  const faults = edits.flatMap((edit) => apply(edit, content, schema));
  const forbidden = findForbidden(content);
  if (forbidden !== undefined) faults.push(faultOf(forbidden));
  // Deeply nested content could not be written.
  if (faults.length > 0) return { content, yaml: '', recipe: undefined, faults };
  const yaml = stringify(content, { lineWidth: 0 });
  const parsed = schema.safeParse(content);
  if (!parsed.success) {
    const found = parsed.error.issues.map((issue) => faultOf(toIssue(issue, content, schema)));
    return { content, yaml, recipe: undefined, faults: found };
  }
  return { content, yaml, recipe: parseRecipe(yaml, file, [], schema), faults };
}

function contentOf(text: string, file: string): Record<string, unknown> {
  const { content } = readYaml(text, file);
  if (content !== null && typeof content === 'object' && !Array.isArray(content)) {
    return content as Record<string, unknown>;
  }
  // Throws, in the words for all recipes.
  return parseRecipe(text, file) as unknown as Record<string, unknown>;
}

function apply(
  { key, yaml }: RecipeEdit,
  content: Record<string, unknown>,
  schema: typeof recipeSchema,
): RecipeFault[] {
  try {
    if (yaml === null) remove(key.split('.'), content);
    else setIn(content, parseOverride(`${key}=${yaml}`), schema);
    return [];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return [{ key, message: error.message.replace(/^--set .*?: /s, ''), fix: error.fix }];
  }
}

/** Removes a key, and sections that are empty without it. */
function remove([key, ...rest]: readonly string[], content: Record<string, unknown>): void {
  if (key === undefined || !Object.hasOwn(content, key)) return;
  const inner = content[key];
  if (rest.length > 0 && inner !== null && typeof inner === 'object' && !Array.isArray(inner)) {
    remove(rest, inner as Record<string, unknown>);
    if (Object.keys(inner).length > 0) return;
  }
  delete content[key];
}

function faultOf({ path, message, fix }: RecipeIssue): RecipeFault {
  return { key: path.map(String).join('.'), message, fix };
}
