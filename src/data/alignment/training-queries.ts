import { duplicateId, IdSet, readJsonl } from '../../files/index.ts';
import { compareDocumentIds } from '../../measures/index.ts';
import { DataError } from '../../system/index.ts';
import type { BeirDataset } from '../beir/beir.ts';
import { checkJudgedQueries } from '../beir/judged-queries.ts';
import { documentText } from '../beir/records.ts';
import type { TrainingQuery } from './alignment-records.ts';
import { tripleSchema } from './echo.ts';

/** Returns the id of a triple's gold document: a triple has only one id, its own. */
export function goldIdOfTriple(tripleId: string): string {
  return `${tripleId}/positive`;
}

/**
 * Returns the queries that a split judges, in the order of the queries file, each with its relevant documents: the highest grade
 * first, equal grades by id. Queries without a relevant document are omitted because nothing can be learnt from them.
 *
 * @throws DataError if the split judges a query that the data set lacks, or judges no query
 */
export async function readTrainingQueries(
  dataset: BeirDataset,
  split: string,
  options: { queriesFile?: string | undefined; signal?: AbortSignal | undefined } = {},
): Promise<TrainingQuery[]> {
  const { queriesFile, signal } = options;
  const qrels = await dataset.qrels(split, signal);
  const queries = await dataset.queries({ file: queriesFile, signal });
  checkJudgedQueries(dataset, split, qrels, queries);
  const judged: TrainingQuery[] = [];
  for (const { id, text } of queries.values()) {
    const relevant = [...(qrels.get(id) ?? [])].filter(([, grade]) => grade > 0);
    if (relevant.length === 0) continue;
    relevant.sort(([a, gradeA], [b, gradeB]) => gradeB - gradeA || compareDocumentIds(a, b));
    judged.push({ id, text, documents: relevant.map(([document]) => document) });
  }
  if (judged.length > 0) return judged;
  throw new DataError(`split ${split} has no query with a relevant document`, {
    file: dataset.folder,
    fix: 'Choose another split.',
  });
}

/**
 * Reads training queries from a file of triples (as `llm-qe data merge` writes it) as a stream. Each comes with the text of its one
 * gold document.
 *
 * @throws DataError if a row is broken or an id occurs twice
 */
export async function* readTripleQueries(file: string, signal?: AbortSignal): AsyncGenerator<TrainingQuery> {
  const seen = new IdSet();
  for await (const { value, line } of readJsonl(file, tripleSchema, signal)) {
    const { id, query, positive } = value;
    if (!seen.add(id)) throw duplicateId(file, line, id, 'triple');
    yield { id, text: query, documents: [goldIdOfTriple(id)], goldText: positive };
  }
}

/**
 * Returns the texts of the given documents, by id, read from the corpus in one pass.
 *
 * @throws DataError that names the first document that the corpus lacks
 */
export async function readDocumentTexts(
  dataset: BeirDataset,
  ids: ReadonlySet<string>,
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for await (const document of dataset.documents(signal)) {
    if (ids.has(document.id)) texts.set(document.id, documentText(document));
    if (texts.size === ids.size) break;
  }
  for (const id of ids) {
    if (texts.has(id)) continue;
    throw new DataError('a gold document is not in the corpus', {
      file: dataset.corpusFile,
      id,
      fix: 'Use corpus and judgements of the same release of the data set. `llm-qe data check` lists all such ids.',
    });
  }
  return texts;
}

/** Returns the texts of all gold documents of these queries, by id. See {@link readDocumentTexts}. */
export async function readGoldTexts(
  dataset: BeirDataset,
  queries: Iterable<TrainingQuery> | AsyncIterable<TrainingQuery>,
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const wanted = new Set<string>();
  for await (const { documents } of queries) for (const id of documents) wanted.add(id);
  return readDocumentTexts(dataset, wanted, signal);
}
