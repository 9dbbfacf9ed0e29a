import { stringify } from 'yaml';
import { z } from 'zod';
import type { FieldKind, FormField, FormSection } from '../shapes/recipes.ts';
import { MAIN_FIELDS } from './main-fields.ts';

/** The parts of JSON Schema that the schema of a recipe uses. */
interface Described {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  oneOf?: Described[];
  properties?: Record<string, Described>;
  required?: string[];
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
  minItems?: number;
}

/** The form of a recipe, made of its schema: one section for each of the recipe's, and one for the settings outside of them. */
export function recipeForm(schema: z.ZodType): FormSection[] {
  const described = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Described;
  const outside: FormSection = { name: '', description: '', fields: [] };
  const sections: FormSection[] = [];
  const isNeeded = (name: string) => described.required?.includes(name) ?? false;
  for (const [name, inner] of Object.entries(described.properties ?? {})) {
    const fields = fieldsOf(name, inner, isNeeded(name));
    if (inner.properties === undefined && inner.oneOf === undefined) outside.fields.push(...fields);
    else sections.push({ name, description: inner.description ?? '', fields });
  }
  return [outside, ...sections];
}

/** A value as the text of a field. */
export function fieldText(kind: FieldKind, value: unknown): string {
  if (kind !== 'yaml' && (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')) {
    return `${value}`;
  }
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd();
}

function fieldsOf(key: string, described: Described, isRequired: boolean): FormField[] {
  const { properties, required = [], oneOf } = described;
  if (oneOf !== undefined) return fieldsOfKinds(key, oneOf);
  if (properties === undefined) return [fieldOf(key, described, isRequired)];
  return Object.entries(properties).flatMap(([name, inner]) =>
    // A section that may be left out needs its keys only if it is there.
    fieldsOf(`${key}.${name}`, inner, isRequired && required.includes(name)),
  );
}

/** A section that has different keys for each of its kinds, such as `data`. */
function fieldsOfKinds(key: string, kinds: readonly Described[]): FormField[] {
  const value = (one: Described) => `${one.properties?.kind?.const}`;
  const choice: FormField = {
    ...{ key: `${key}.kind`, kind: 'choice', choices: kinds.map(value), bounds: '', isRequired: true, isMain: true },
    description: kinds.map((one) => `${value(one)}: ${one.properties?.kind?.description ?? ''}`).join('. '),
  };
  const others = kinds.flatMap((one) =>
    Object.entries(one.properties ?? {})
      .filter(([name]) => name !== 'kind')
      .flatMap(([name, inner]) => fieldsOf(`${key}.${name}`, inner, one.required?.includes(name) ?? false))
      .map((field) => ({ ...field, when: { key: `${key}.kind`, value: value(one) } })),
  );
  return [choice, ...others];
}

function fieldOf(key: string, described: Described, isRequired: boolean): FormField {
  const kind = kindOf(described);
  return {
    ...{ key, kind, description: described.description ?? '', bounds: boundsOf(described), isRequired },
    byDefault: described.default === undefined ? undefined : fieldText(kind, described.default),
    choices: kind === 'choice' ? described.enum!.map(String) : undefined,
    isMain: MAIN_FIELDS.has(key),
  };
}

function kindOf({ type, enum: choices }: Described): FieldKind {
  if (type === 'string' && choices !== undefined) return 'choice';
  if (type === 'string') return 'text';
  if (type === 'boolean') return 'switch';
  return type === 'number' || type === 'integer' ? 'number' : 'yaml';
}

function boundsOf({ type, minimum, exclusiveMinimum, maximum, exclusiveMaximum, minItems }: Described): string {
  const words = [
    type === 'integer' && 'a whole number',
    type === 'array' && (minItems ? `a list of ${minItems} or more` : 'a list'),
    type === 'object' && 'names with values',
    minimum !== undefined && `at least ${minimum}`,
    exclusiveMinimum !== undefined && `more than ${exclusiveMinimum}`,
    maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER && `at most ${maximum}`,
    exclusiveMaximum !== undefined && `less than ${exclusiveMaximum}`,
  ];
  return words.filter(Boolean).join(', ');
}
