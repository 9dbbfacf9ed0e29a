import { z } from 'zod';
import type { ScoredDocument } from '../../measures/index.ts';
import type { CorpusSearch } from '../../retrieve/index.ts';
import { EXPANSION_STATES, type Expander, type ServedIndex } from '../../serve/index.ts';
import type { JudgedQuery, SessionSettings } from './settings.ts';

/** Longer texts are cut: nobody reads more to judge a result. In characters. */
export const LONGEST_TEXT = 8000;
/** An expansion may take this long; nobody waits for the answer of a search here. */
const BUDGET_MS = 120_000;

const hitSchema = z.object({ id: z.string(), score: z.number() });

/** One way to search: a retriever with the raw or the expanded query. */
const armSchema = z.object({
  retriever: z.enum(['dense', 'bm25', 'rrf']),
  isExpanded: z.boolean(),
  hits: z.array(hitSchema),
});

/** `pool/N.json`: the results of all arms for one query, with their texts, so that judging needs neither models nor corpus. */
export const pooledSchema = z.object({
  arms: z.array(armSchema),
  /** Missing if the session has no expansions. */
  expansion: z
    .object({
      state: z.enum(EXPANSION_STATES),
      reason: z.string().optional(),
      texts: z.array(z.string()),
      milliseconds: z.number(),
    })
    .optional(),
  documents: z.array(z.object({ id: z.string(), text: z.string(), isCut: z.boolean() })),
});
export type Pooled = z.output<typeof pooledSchema>;
export type PooledArm = z.output<typeof armSchema>;

/** Searches one query in every arm. @param expander missing: raw queries only */
export async function poolQuery(
  { text }: JudgedQuery,
  { retrievers, depth }: SessionSettings,
  { index, expander, signal }: { index: ServedIndex; expander: Expander | undefined; signal: AbortSignal },
): Promise<Pooled> {
  const expanded = await expander?.expand(text, { budgetMs: BUDGET_MS, signal });
  const arms: PooledArm[] = [];
  for (const retriever of retrievers) {
    const query = { id: 'query', text, expansions: expanded?.texts ?? [] };
    const ways = [{ alpha: 0, texts: 0 }, ...(expanded ? [{ alpha: expanded.alpha }] : [])];
    const runs = await index.firstPass.combinedRuns(retriever, ways, [query], options(depth, signal));
    for (const [at, run] of runs.entries()) {
      const hits = (run.get('query') ?? []).slice(0, depth).map(({ id, score }: ScoredDocument) => ({ id, score }));
      arms.push({ retriever, isExpanded: at > 0, hits });
    }
  }
  const ids = [...new Set(arms.flatMap(({ hits }) => hits.map(({ id }) => id)))].sort();
  const documents = await Promise.all(ids.map(async (id) => ({ id, ...cut(await index.text(id)) })));
  if (expanded === undefined) return { arms, documents };
  const { state, reason, texts, milliseconds } = expanded;
  return { arms, expansion: { state, reason, texts, milliseconds }, documents };
}

/** A fused search needs more results of each half than it returns. */
function options(depth: number, signal: AbortSignal): Parameters<CorpusSearch['combinedRuns']>[3] {
  return { depth: Math.max(depth, 100), dropSelf: false, signal };
}

export function cut(text: string): { text: string; isCut: boolean } {
  if (text.length <= LONGEST_TEXT) return { text, isCut: false };
  return { text: text.slice(0, LONGEST_TEXT), isCut: true };
}
