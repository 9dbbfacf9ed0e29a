import type { z } from 'zod';
import { UsageError } from './errors.ts';

/** Former names of settings, each with the current name. */
export type RenamedSettings = Readonly<Record<string, string>>;

/**
 * Refuses a setting under a former name.
 * @param written returns a name as the user writes it, such as `--lr-scheduler`
 */
export function renamedSetting(
  name: string,
  renamed: RenamedSettings,
  written: (name: string) => string = (own) => own,
): { message: string; fix: string } | undefined {
  if (!Object.hasOwn(renamed, name)) return undefined;
  const current = written(renamed[name]!);
  return { message: `${written(name)} is now called ${current}`, fix: `Write ${current}.` };
}

/**
 * Fills in the defaults of settings.
 * @param about.what what the settings belong to, for error messages
 * @throws UsageError that names the setting; for a former name, also the current one
 */
export function parseSettings<S extends z.ZodObject>(
  schema: S,
  given: unknown,
  { what, renamed = {} }: { what: string; renamed?: RenamedSettings },
): z.output<S> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const old = issue.code === 'unrecognized_keys' ? renamedSetting(issue.keys[0]!, renamed) : undefined;
  if (old !== undefined) throw new UsageError(old.message, { fix: old.fix });
  const { path, message } = issue;
  throw new UsageError(path.length === 0 ? message : `${path.join('.')}: ${message}`, {
    fix: `The settings of ${what} are ${Object.keys(schema.shape).join(', ')}.`,
  });
}

type Unwrapped<T> = T extends z.ZodDefault<infer U> | z.ZodOptional<infer U> | z.ZodPrefault<infer U>
  ? Unwrapped<U>
  : T;

/** A shape in which some settings have other defaults. */
export type Redefaulted<S extends z.ZodRawShape, D> = {
  [K in keyof S]: K extends keyof D ? z.ZodDefault<Extract<Unwrapped<S[K]>, z.ZodType>> : S[K];
};

/**
 * Returns the same settings with other defaults, so that range and meaning are written only once.
 * @param descriptions more precise descriptions of some settings
 */
export function withDefaults<S extends z.ZodRawShape, D extends { [K in keyof S]?: z.input<S[K]> }>(
  shape: S,
  defaults: D,
  descriptions: { [K in keyof S]?: string } = {},
): Redefaulted<S, D> {
  const changed = Object.entries(shape).map(([name, schema]) => {
    const description = descriptions[name] ?? (schema as z.ZodType).description;
    const own = Object.hasOwn(defaults, name) ? unwrapped(schema as z.ZodType).default(defaults[name]) : schema;
    return [name, description === undefined ? own : (own as z.ZodType).describe(description)];
  });
  return Object.fromEntries(changed) as Redefaulted<S, D>;
}

function unwrapped(schema: z.ZodType): z.ZodType {
  const { innerType } = schema.def as { innerType?: z.ZodType };
  return innerType === undefined ? schema : unwrapped(innerType);
}
