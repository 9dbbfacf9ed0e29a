import type { z } from 'zod';

/** Puts settings under one heading of the help; nothing else about them changes. */
export function inGroup<T extends Readonly<Record<string, z.ZodType>>>(heading: string, settings: T): T {
  const grouped = Object.entries(settings).map(([name, schema]) => [
    name,
    schema.meta({ ...schema.meta(), group: heading }),
  ]);
  return Object.fromEntries(grouped) as T;
}

/** The heading that a setting was put under; undefined for one that was put under none. */
export function optionGroup(schema: z.ZodType): string | undefined {
  const group = schema.meta()?.group;
  return typeof group === 'string' ? group : undefined;
}

/** Converts `runOut` to `run-out`. */
export function toKebab(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
