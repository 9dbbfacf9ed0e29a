import type { FormFault, FormField, FormSection, RecipeForm } from '../../../shapes/recipes.ts';

/** The texts of the fields by their keys; a field without one has its default. */
export type Texts = Readonly<Record<string, string>>;

/** How a run is started, apart from its recipe. */
export type RunChoice = Pick<RecipeForm, 'run' | 'engine' | 'threads' | 'offline'>;

/** Whether a field exists, as the others are. */
export function isShown({ when }: FormField, texts: Texts): boolean {
  return when === undefined || texts[when.key] === when.value;
}

/** What differs from the recipe: an emptied field removes its key, so that the default holds. */
export function editsOf(sections: readonly FormSection[], before: Texts, texts: Texts): RecipeForm['edits'] {
  const fields = sections.flatMap((section) => section.fields).filter((field) => isShown(field, texts));
  return fields.flatMap((field) => {
    const text = texts[field.key] ?? '';
    if (text === (before[field.key] ?? '')) return [];
    return [{ key: field.key, yaml: text === '' ? null : yamlOf(field, text) }];
  });
}

/** A text may be anything; JSON is YAML. */
function yamlOf({ kind }: FormField, text: string): string {
  return kind === 'text' || kind === 'choice' ? JSON.stringify(text) : text;
}

/** What is wrong with each field; under the empty key, what belongs to none. */
export function faultsByField(sections: readonly FormSection[], faults: readonly FormFault[]): Record<string, string> {
  const keys = ['run', ...sections.flatMap(({ fields }) => fields.map(({ key }) => key))];
  const found: Record<string, string> = {};
  for (const { key, message, fix } of faults) {
    // An element of a list is named `candidates.temperatures.0`.
    const field = keys.find((one) => key === one || key.startsWith(`${one}.`)) ?? '';
    const words = [field === '' && key !== '' ? `${key}: ${message}` : message, fix].filter(Boolean).join('. ');
    found[field] = found[field] === undefined ? words : `${found[field]} ${words}`;
  }
  return found;
}
