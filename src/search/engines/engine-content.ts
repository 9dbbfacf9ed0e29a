import { z } from 'zod';
import { DataError } from '../../system/index.ts';
import type { EngineContent, VectorEngine } from './vector-engine.ts';

const contentSchema = z.object({
  key: z.string(),
  dimensions: z.number(),
  similarity: z.enum(['dot', 'cosine']),
  format: z.enum(['f32', 'f16']),
  rows: z.number(),
});

/**
 * Refuses a table or collection that holds anything but this content.
 * @param found what is recorded beside it
 * @param drop how to remove it
 * @throws DataError that says what differs
 */
export function refuseOtherContent(
  { name, place }: Pick<VectorEngine, 'name' | 'place'>,
  found: unknown,
  wanted: EngineContent,
  drop: string,
): void {
  const held = contentSchema.safeParse(found).data;
  const fix = `Choose another name in --index, or remove it (${drop}) and run the same command again.`;
  if (held === undefined) throw new DataError(`${place} of ${name} was not made by llm-qe`, { fix });
  const difference = describeDifference(held, wanted);
  if (difference !== undefined) throw new DataError(`${place} of ${name} ${difference}`, { fix });
}

function describeDifference(held: EngineContent, wanted: EngineContent): string | undefined {
  if (held.dimensions !== wanted.dimensions) {
    return `holds vectors of ${held.dimensions} dimensions, and those of this encoder have ${wanted.dimensions}`;
  }
  if (held.similarity !== wanted.similarity) {
    return `compares by ${held.similarity}, and --similarity ${wanted.similarity} is wanted`;
  }
  if (held.format !== wanted.format)
    return `stores vectors as ${held.format}, and --vectors ${wanted.format} is wanted`;
  if (held.key !== wanted.key || held.rows !== wanted.rows) {
    return `holds the vectors of another corpus or encoder (${held.rows} documents, here ${wanted.rows})`;
  }
  return undefined;
}
