import { RequestError } from '../../serve/index.ts';
import type { QueryArm, QueryView } from '../shapes/queries.ts';
import { type Asked, choose } from './choose.ts';
import type { OpenEvaluation } from './open-evaluation.ts';

/** Documents that are judged relevant, shown at most. */
const MOST_RELEVANT = 20;
/** Characters of a document and of an expansion that are shown. */
const [SNIPPET, EXPANSION] = [700, 8000];

export interface QueryAsked extends Asked {
  id: string;
  /** Documents shown of each arm. */
  top: number;
}

/** One query in all arms, those that are compared first. @throws RequestError if no arm knows the query */
export async function viewQuery(evaluation: OpenEvaluation, asked: QueryAsked): Promise<QueryView> {
  const { id, top } = asked;
  const { a, b, measure } = choose(evaluation, asked);
  const names = [...new Set([a, b, ...evaluation.files.arms.map(({ name }) => name)])];
  const rankings = new Map<string, { id: string; score: number }[]>();
  for (const name of names) rankings.set(name, await evaluation.ranking(name, id));
  const isKnown = evaluation.textOf(id) !== '' || [...rankings.values()].some((hits) => hits.length > 0);
  if (!isKnown) {
    const fix = 'Choose a query of the list.';
    throw new RequestError(404, `there is no query ${JSON.stringify(id.slice(0, 100))}`, { fix });
  }
  const ranks = new Map(
    [...rankings].map(([name, hits]) => [name, new Map(hits.map((hit, at) => [hit.id, at + 1] as const))]),
  );
  const grades = evaluation.qrels?.get(id);
  const arms: QueryArm[] = [];
  for (const name of names) {
    const { expansions, run } = evaluation.arm(name);
    const other = ranks.get(name === a ? b : a)!;
    const values = await evaluation.values(name, measure);
    arms.push({
      ...{ name, value: values === undefined ? null : (values.get(id) ?? 0), hasRun: run !== undefined },
      expansions: (await expansions(id)).map((text) => text.slice(0, EXPANSION)),
      hits: rankings
        .get(name)!
        .slice(0, top)
        .map((hit) => ({
          ...{ id: hit.id, score: hit.score },
          ...{ grade: grades?.get(hit.id) ?? null, otherRank: other.get(hit.id) ?? null },
        })),
    });
  }
  const relevant = [...(grades ?? [])].filter(([, grade]) => grade > 0).sort(([, one], [, two]) => two - one);
  const shown = relevant.slice(0, MOST_RELEVANT);
  const wanted = new Set([
    ...shown.map(([document]) => document),
    ...arms.flatMap(({ hits }) => hits.map((hit) => hit.id)),
  ]);
  return {
    ...{ id, text: evaluation.textOf(id), arms, isJudged: grades !== undefined },
    relevant: shown.map(([document, grade]) => ({
      ...{ id: document, grade },
      ranks: names.map((name) => ranks.get(name)?.get(document) ?? null),
    })),
    moreRelevant: relevant.length - shown.length,
    documents: await snippetsOf(evaluation, [...wanted]),
    hasDocuments: evaluation.set !== undefined,
  };
}

async function snippetsOf({ set }: OpenEvaluation, ids: readonly string[]): Promise<QueryView['documents']> {
  const found = (await set?.documents.read(ids)) ?? new Map();
  // An id may be a name that objects have by nature, such as __proto__.
  const documents: QueryView['documents'] = Object.create(null);
  for (const [id, { title, text }] of found) {
    documents[id] = { title: title.slice(0, SNIPPET), text: text.slice(0, SNIPPET) };
  }
  return documents;
}
