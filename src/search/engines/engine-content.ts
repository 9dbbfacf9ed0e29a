import { z } from 'zod';
import { DataError } from '../../system/index.ts';
import type { Engine, EngineContent } from './engine.ts';

const contentSchema = z.object({
  key: z.string(),
  dimensions: z.number(),
  similarity: z.enum(['dot', 'cosine', 'bm25']),
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
  { name, place }: Pick<Engine<unknown>, 'name' | 'place'>,
  found: unknown,
  wanted: EngineContent,
  drop: string,
): void {
  const held = contentSchema.safeParse(found).data;
  const option = wanted.similarity === 'bm25' ? '--bm25-index' : '--index';
  const fix = `Choose another name in ${option}, or remove it (${drop}) and run the same command again.`;
  if (held === undefined) throw new DataError(`${place} of ${name} was not made by llm-qe`, { fix });
  const difference = describeDifference(held, wanted);
  if (difference !== undefined) throw new DataError(`${place} of ${name} ${difference}`, { fix });
}

function describeDifference(held: EngineContent, wanted: EngineContent): string | undefined {
  if (held.similarity === 'bm25' || wanted.similarity === 'bm25') return describeTermDifference(held, wanted);
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

function describeTermDifference(held: EngineContent, wanted: EngineContent): string | undefined {
  if (held.similarity !== 'bm25') return 'holds vectors, and the terms of BM25 are wanted';
  if (wanted.similarity !== 'bm25') return 'holds the terms of BM25, and vectors are wanted';
  if (held.key === wanted.key && held.rows === wanted.rows) return undefined;
  return `holds the terms of another corpus, or of other settings of BM25 (${held.rows} documents, here ${wanted.rows})`;
}
