import { readGoldTexts } from '../../data/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import type { AlignmentContext } from '../run/stage.ts';

/** Whether the training queries are triples, which include the text of their gold document and have no judgements. */
export function readsTriples({ data }: Recipe): boolean {
  return data.kind === 'beir' && data.triples !== undefined;
}

/** Reads the texts of gold documents; undefined if the queries include them. */
export async function goldTexts({ data, recipe, options }: AlignmentContext) {
  if (readsTriples(recipe)) return undefined;
  return readGoldTexts(data.dataset, (await data.training(false))(), options.signal);
}
