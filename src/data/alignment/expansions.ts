import { z } from 'zod';
import { duplicateId, idSchema, readJsonl } from '../../files/index.ts';
import type { Expansion } from '../beir/records.ts';
import { writtenFacts } from './alignment-records.ts';

const count = z.number().int().nonnegative();

/** One line of `expansions.jsonl`. See {@link Expansion}. */
export const expansionSchema = z.object({
  query: idSchema,
  sample: count,
  text: z.string(),
  ...writtenFacts,
  finish: z.enum(['stop', 'length']),
  promptTokens: count,
  completionTokens: count,
  logProbability: z.number().max(0).optional(),
  milliseconds: z.number().nonnegative(),
  key: z.string(),
  queryRepeats: count.optional(),
}) satisfies z.ZodType<Expansion>;

/**
 * Reads `expansions.jsonl`: the expansions of each query, ordered by sample.
 *
 * @throws DataError if a line is broken, or if a sample of a query occurs twice
 */
export async function readExpansions(file: string, signal?: AbortSignal): Promise<Map<string, Expansion[]>> {
  const byQuery = new Map<string, Map<number, Expansion>>();
  for await (const { value, line } of readJsonl(file, expansionSchema, signal)) {
    const samples = byQuery.get(value.query) ?? new Map<number, Expansion>();
    if (samples.has(value.sample)) throw duplicateId(file, line, value.query, `sample (${value.sample}) of the query`);
    byQuery.set(value.query, samples.set(value.sample, value));
  }
  return new Map(
    [...byQuery].map(([query, samples]) => [query, [...samples.values()].sort((a, b) => a.sample - b.sample)]),
  );
}
