import { z } from 'zod';

const leftOutSchema = z.object({
  /** What was skipped and why, in the plural: `training pairs: prompt too long`. */
  what: z.string(),
  count: z.number(),
  /** How many there are in total. */
  of: z.number(),
});
/** What a stage skipped or cut short. */
export type LeftOut = z.output<typeof leftOutSchema>;

const saidSchema = z.object({ leftOut: z.array(leftOutSchema).default([]), warnings: z.array(z.string()).default([]) });

/** Returns the counts that are not 0. @param of how many there are in total */
export function leftOutOf(of: number, counts: Readonly<Record<string, number>>): LeftOut[] {
  return Object.entries(counts).flatMap(([what, count]) => (count > 0 ? [{ what, count, of }] : []));
}

/** Prefixes the reasons of counts with what they count. */
export function countsOf(what: string, reasons: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(reasons).map(([reason, count]) => [`${what}: ${reason}`, count]));
}

export function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Reads from a stage's result what it skipped, cut short and warned of. */
export function saidIn(result: Record<string, unknown>): z.output<typeof saidSchema> {
  const parsed = saidSchema.safeParse(result);
  return parsed.success ? parsed.data : { leftOut: [], warnings: [] };
}
