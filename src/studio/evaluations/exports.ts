import { trecQrelsLines, trecRunLines } from '../../data/index.ts';
import { type Qrels, rankHits } from '../../measures/index.ts';
import { buildReport, renderReport } from '../../report/index.ts';
import { RequestError } from '../../serve/index.ts';
import type { Chosen } from './choose.ts';
import { comparedQueries, comparisonOf } from './comparison.ts';
import { csvLine } from './csv.ts';
import { evaluateMeans } from './means.ts';
import type { OpenEvaluation } from './open-evaluation.ts';

/** What can be taken from the screen, by the name in the address. */
export const EXPORTS = {
  'run-a': { type: 'text/plain', file: 'run-a.trec' },
  'run-b': { type: 'text/plain', file: 'run-b.trec' },
  qrels: { type: 'text/plain', file: 'qrels.trec' },
  'quepid-ratings': { type: 'text/csv', file: 'quepid-ratings.csv' },
  'quepid-snapshot': { type: 'text/csv', file: 'quepid-snapshot.csv' },
  queries: { type: 'text/csv', file: 'queries.csv' },
  report: { type: 'text/html', file: 'report.html' },
} as const;
export type ExportName = keyof typeof EXPORTS;

/** Documents of a query in a snapshot; Quepid shows ten. */
const SNAPSHOT_DEPTH = 10;

/** The text of an export, in pieces. @throws RequestError if what it needs is not at hand; DataError */
export async function exportOf(
  evaluation: OpenEvaluation,
  chosen: Chosen,
  name: ExportName,
): Promise<Iterable<string>> {
  if (name === 'run-a' || name === 'run-b') return runLines(evaluation, name === 'run-a' ? chosen.a : chosen.b);
  if (name === 'quepid-snapshot') return snapshotLines(evaluation, chosen);
  if (name === 'qrels') return ended(trecQrelsLines(EXPORTS.qrels.file, await shownQrels(evaluation, chosen)));
  if (name === 'quepid-ratings') return ratingLines(evaluation, await shownQrels(evaluation, chosen));
  if (name === 'queries') return queryLines(evaluation, chosen);
  return [await reportPage(evaluation, chosen)];
}

async function runLines(evaluation: OpenEvaluation, arm: string): Promise<Iterable<string>> {
  const run = await keptRun(evaluation, arm);
  return ended(trecRunLines(evaluation.arm(arm).run ?? arm, run, `llm-qe-${arm.replaceAll(/[^\w.+-]+/g, '-')}`));
}

function* ended(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${line}\n`;
}

async function keptRun(evaluation: OpenEvaluation, arm: string) {
  const run = await evaluation.run(arm);
  if (run !== undefined) return run;
  const fix = 'Choose another arm, or evaluate again.';
  throw new RequestError(422, `the run of ${JSON.stringify(arm)} was not kept`, { fix });
}

/** The judgements of the queries that are compared. */
async function shownQrels(evaluation: OpenEvaluation, chosen: Chosen): Promise<Qrels> {
  const { qrels } = evaluation;
  if (qrels === undefined) throw unjudged();
  const { ids } = await comparedQueries(evaluation, chosen);
  return new Map(ids.flatMap((id) => (qrels.has(id) ? [[id, qrels.get(id)!]] : [])));
}

function unjudged(): RequestError {
  const fix = 'Start the studio with --corpus FOLDER, the data set of this evaluation.';
  return new RequestError(422, 'the judgements are not at hand', { fix });
}

/** Quepid's own format for ratings; it knows a query by its text. */
function* ratingLines(evaluation: OpenEvaluation, qrels: Qrels): Generator<string> {
  yield csvLine(['query', 'docid', 'rating']);
  for (const [query, grades] of qrels) {
    const text = evaluation.textOf(query) || query;
    for (const [document, grade] of grades) yield csvLine([text, document, `${Math.max(0, grade)}`]);
  }
}

/** Quepid's own format for snapshots: what the second arm found. Importing into a case ignores its number. */
async function snapshotLines(evaluation: OpenEvaluation, chosen: Chosen): Promise<Iterable<string>> {
  const run = await keptRun(evaluation, chosen.b);
  const { ids } = await comparedQueries(evaluation, chosen);
  const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  return (function* () {
    yield csvLine(['Snapshot Name', 'Snapshot Time', 'Case ID', 'Query Text', 'Doc ID', 'Doc Position']);
    for (const id of ids) {
      const hits = rankHits(run.get(id) ?? []).slice(0, SNAPSHOT_DEPTH);
      for (const [at, hit] of hits.entries()) {
        yield csvLine([chosen.b, time, '1', evaluation.textOf(id) || id, hit.id, `${at + 1}`]);
      }
    }
  })();
}

/** The table of the screen. */
async function queryLines(evaluation: OpenEvaluation, chosen: Chosen): Promise<Iterable<string>> {
  const { ids, values } = await comparedQueries(evaluation, chosen);
  if (values === undefined) throw unjudged();
  const { before, after } = values;
  return (function* () {
    yield csvLine(['id', 'query', `${chosen.measure} of ${chosen.a}`, `${chosen.measure} of ${chosen.b}`, 'change']);
    for (const [row, id] of ids.entries()) {
      const change = after[row]! - before[row]!;
      yield csvLine([
        id,
        evaluation.textOf(id),
        ...[before[row]!, after[row]!, change].map((value) => value.toFixed(6)),
      ]);
    }
  })();
}

/** The page that `llm-qe evaluate --report` writes, of the arms that are compared. */
async function reportPage(evaluation: OpenEvaluation, chosen: Chosen): Promise<string> {
  const { ids, values } = await comparedQueries(evaluation, chosen);
  if (values === undefined) throw unjudged();
  const qrels = await shownQrels(evaluation, chosen);
  const { comparison } = comparisonOf(values, chosen, evaluation.files.seed);
  const arms = await Promise.all(
    [chosen.a, chosen.b].map(async (name, at) => {
      const { description, expansions } = evaluation.arm(name);
      const run = await keptRun(evaluation, name);
      const queries = await Promise.all(
        ids.map(async (id) => ({ id, text: evaluation.textOf(id), expansions: at === 0 ? [] : await expansions(id) })),
      );
      const column = new Map(ids.map((id, row) => [id, (at === 0 ? values.before : values.after)[row]!]));
      return {
        ...{ name, description, topics: { queries, qrels }, retrieval: { run } },
        scores: evaluateMeans(qrels, run, chosen.measure, column),
      };
    }),
  );
  const { dataset } = evaluation.files;
  await evaluation.set?.documents.read([]);
  const documents = dataset.documents ?? evaluation.set?.documents.size ?? 0;
  const data = await buildReport({
    title: `${chosen.b} against ${chosen.a}`,
    dataset: { name: dataset.name, split: dataset.split, documents, queries: ids.length },
    ...{ arms, comparisons: [comparison], baseline: arms[0], expanded: arms[1] },
    documents: relevantDocuments(evaluation, qrels),
    settings: [
      [
        'Evaluation',
        [
          ['folder', evaluation.source.id],
          ['seed', `${evaluation.files.seed}`],
        ],
      ],
    ],
    remarks: [],
  });
  return renderReport(data);
}

async function* relevantDocuments({ set }: OpenEvaluation, qrels: Qrels) {
  for (const grades of qrels.values()) {
    const ids = [...grades].filter(([, grade]) => grade > 0).map(([id]) => id);
    for (const [id, document] of (await set?.documents.read(ids)) ?? []) yield { id, ...document };
  }
}
