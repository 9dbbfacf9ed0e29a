import type { CorpusSearch } from '../retrieve/index.ts';
import { counted } from '../system/index.ts';
import type { Topics } from './topics.ts';

/**
 * Describes relevant documents that are not in the corpus: they can never be found, which lowers the scores. Undefined if there
 * are none. Call it when the index is open.
 */
export async function describeMissing(search: CorpusSearch, { qrels, split }: Topics): Promise<string | undefined> {
  const relevant = [...qrels.values()].flatMap((grades) => [...grades].filter(([, grade]) => grade > 0));
  const missing = await search.missingDocuments(new Set(relevant.map(([id]) => id)));
  if (missing.length === 0) return undefined;
  const documents = counted(
    missing.length,
    `relevant document of split ${split} is`,
    `relevant documents of split ${split} are`,
  );
  return `${documents} not in the corpus (such as ${JSON.stringify(missing[0])}); they count as not found. \`llm-qe data check\` lists them.`;
}
