import { z } from 'zod';

const leftOutSchema = z.object({
  /** What it is and why, in the plural: `training pairs: prompt too long`. */
  what: z.string(),
  count: z.number(),
  /** Of how many. */
  of: z.number(),
});
/** What a stage left out or cut short. */
export type LeftOut = z.output<typeof leftOutSchema>;

const saidSchema = z.object({ leftOut: z.array(leftOutSchema).default([]), warnings: z.array(z.string()).default([]) });

/** What occurred, out of counts by name. @param of how many there are of them */
export function leftOutOf(of: number, counts: Readonly<Record<string, number>>): LeftOut[] {
  return Object.entries(counts).flatMap(([what, count]) => (count > 0 ? [{ what, count, of }] : []));
}

/** Counts by reason, each named with what it counts. */
export function countsOf(what: string, reasons: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(reasons).map(([reason, count]) => [`${what}: ${reason}`, count]));
}

export function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** What the result of a stage says it left out, cut short and warned of. */
export function saidIn(result: Record<string, unknown>): z.output<typeof saidSchema> {
  const parsed = saidSchema.safeParse(result);
  return parsed.success ? parsed.data : { leftOut: [], warnings: [] };
}
