import { type Document, documentText, type Expansion } from '../../data/index.ts';
import { type Arm, type Comparison, TABLE_MEASURES } from '../../evaluate/index.ts';
import { rankHits } from '../../measures/index.ts';
import { shorten } from '../figures.ts';
import type { ReportArm, ReportCost, ReportData, ReportDocument, ReportQuery } from '../report-data.ts';

/** Maximum length of a relevant document's text in the report. */
const SNIPPET_CHARACTERS = 200;

/** What the report reads of an arm. */
export type ReportedArm = Pick<Arm, 'name' | 'description' | 'scores'> & {
  topics: Pick<Arm['topics'], 'queries' | 'qrels'>;
  retrieval: Pick<Arm['retrieval'], 'run'>;
};

export interface ReportInputs {
  title: string;
  dataset: ReportData['dataset'];
  arms: readonly ReportedArm[];
  comparisons: readonly Comparison[];
  /** The two arms of the main comparison. */
  baseline?: ReportedArm | undefined;
  expanded?: ReportedArm | undefined;
  /** The corpus, read once for the texts of relevant documents. */
  documents: AsyncIterable<Document>;
  cost?: ReportCost | undefined;
  /** Median milliseconds per query, by arm name. */
  latencies?: ReadonlyMap<string, number> | undefined;
  made?: readonly string[] | undefined;
  settings: ReportData['settings'];
  remarks: readonly string[];
}

/** Gathers the data that the page shows. */
export async function buildReport(inputs: ReportInputs): Promise<ReportData> {
  const { baseline, expanded, comparisons } = inputs;
  const measure = comparisons[0]?.measure;
  const queries =
    baseline === undefined || expanded === undefined || measure === undefined
      ? []
      : describeQueries(baseline, expanded, measure);
  await addTexts(queries, inputs.documents);
  return {
    title: inputs.title,
    dataset: inputs.dataset,
    arms: inputs.arms.map((arm) => toRow(arm, inputs.latencies?.get(arm.name))),
    comparisons: [...comparisons],
    queries,
    made: [...(inputs.made ?? [])],
    cost: inputs.cost,
    settings: inputs.settings,
    remarks: [...inputs.remarks],
  };
}

/** Returns what the expansions of these topics cost, as means over the queries. */
export function describeCost(expansions: readonly Expansion[], expanded: Pick<Arm, 'topics'>): ReportCost {
  const searched = new Set(expanded.topics.queries.map(({ id }) => id));
  const used = expansions.filter(({ query }) => searched.has(query));
  const perQuery = (pick: (one: Expansion) => number) =>
    used.reduce((sum, one) => sum + pick(one), 0) / Math.max(1, searched.size);
  const cut = used.filter(({ finish }) => finish === 'length').length;
  return {
    promptTokens: perQuery((one) => one.promptTokens),
    completionTokens: perQuery((one) => one.completionTokens),
    cutAtLimit: cut / Math.max(1, used.length),
    generationMilliseconds: perQuery((one) => one.milliseconds),
  };
}

function toRow(arm: ReportedArm, milliseconds: number | undefined): ReportArm {
  return {
    name: arm.name,
    description: arm.description,
    measures: Object.fromEntries(TABLE_MEASURES.map((name) => [name, arm.scores.mean[name] ?? 0])),
    milliseconds,
  };
}

function describeQueries(baseline: ReportedArm, expanded: ReportedArm, measure: string): ReportQuery[] {
  return expanded.topics.queries.map(({ id, text, expansions }) => {
    const before = ranksOf(baseline, id);
    const after = ranksOf(expanded, id);
    const relevant = [...(expanded.topics.qrels.get(id) ?? [])]
      .filter(([, grade]) => grade > 0)
      .map(
        ([document, grade]): ReportDocument => ({
          id: document,
          text: '',
          grade,
          rankBefore: before.get(document) ?? null,
          rankAfter: after.get(document) ?? null,
        }),
      )
      .sort((a, b) => b.grade - a.grade || (a.rankAfter ?? 1e9) - (b.rankAfter ?? 1e9));
    return {
      id,
      text,
      expansions: [...expansions],
      before: baseline.scores.perQuery.get(id)?.[measure] ?? 0,
      after: expanded.scores.perQuery.get(id)?.[measure] ?? 0,
      relevant,
    };
  });
}

/** Returns the ranks, from 1, of the documents found for one query. */
function ranksOf({ retrieval }: ReportedArm, query: string): Map<string, number> {
  const hits = rankHits(retrieval.run.get(query) ?? []);
  return new Map(hits.map(({ id }, row) => [id, row + 1]));
}

async function addTexts(queries: readonly ReportQuery[], documents: AsyncIterable<Document>): Promise<void> {
  const wanted = new Map<string, ReportDocument[]>();
  for (const document of queries.flatMap(({ relevant }) => relevant)) {
    wanted.set(document.id, [...(wanted.get(document.id) ?? []), document]);
  }
  if (wanted.size === 0) return;
  for await (const document of documents) {
    for (const entry of wanted.get(document.id) ?? []) entry.text = shorten(documentText(document), SNIPPET_CHARACTERS);
  }
}
