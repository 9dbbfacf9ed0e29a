import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const WORDS = ['saw', 'boat', 'bird', 'tree', 'cat', 'cup', 'hat', 'sun'];
/** Texts that would do harm if a page took them for more than text. */
const HOSTILE: Record<number, string> = { 0: '<img src=x onerror=alert(1)> saw', 1: 'a "quoted", query' };

/**
 * Writes what `llm-qe evaluate --report report.html --run-out run.trec` leaves, with its data set beside it and a third run, `other`.
 * Queries with an even number above 2 are helped, those with an odd number hurt; `q2` is unchanged.
 * @param queries of whom query `qN` wants document `dN`
 */
export function writeEvaluation(folder: string, queries = 24): void {
  const numbers = Array.from({ length: queries }, (_, at) => at);
  const textOf = (at: number) => HOSTILE[at] ?? `what is a ${WORDS[at % WORDS.length]} number ${at}`;
  const data = join(folder, 'data');
  mkdirSync(join(data, 'qrels'), { recursive: true });
  const lines = (records: readonly object[]) => records.map((record) => `${JSON.stringify(record)}\n`).join('');
  const documents = numbers.map((at) => {
    const text =
      at === 0 ? 'a saw <script>alert(1)</script> is a saw' : `a ${WORDS[at % WORDS.length]} is number ${at}`;
    return { _id: `d${at}`, title: '', text };
  });
  writeFileSync(join(data, 'corpus.jsonl'), lines(documents));
  writeFileSync(join(data, 'queries.jsonl'), lines(numbers.map((at) => ({ _id: `q${at}`, text: textOf(at) }))));
  const gradeOf = (at: number) => (at === 0 ? 2 : 1);
  const judged = numbers.map((at) => `q${at}\td${at}\t${gradeOf(at)}\n`).join('');
  writeFileSync(join(data, 'qrels', 'test.tsv'), `query-id\tcorpus-id\tscore\n${judged}`);
  const next = (at: number, by: number) => `d${(at + by) % queries}`;
  const right = (at: number) => [`d${at}`, next(at, 2), next(at, 5)];
  const low = (at: number) => [next(at, 1), next(at, 2), `d${at}`];
  const isHelped = (at: number) => at !== 2 && at % 2 === 0;
  writeRunFile(join(folder, 'run-raw.trec'), numbers, (at) => (isHelped(at) || at === 2 ? low(at) : right(at)));
  writeRunFile(join(folder, 'run.trec'), numbers, (at) => (isHelped(at) ? right(at) : low(at)));
  writeRunFile(join(folder, 'other.trec'), numbers, (at) => [next(at, 3)]);
  writeReportFile(
    folder,
    numbers.map((at) => ({ at, text: textOf(at), grade: gradeOf(at) })),
  );
}

function writeRunFile(file: string, queries: readonly number[], found: (query: number) => string[]): void {
  const lines = queries.flatMap((at) =>
    found(at).map((id, rank) => `q${at} Q0 ${id} ${rank + 1} ${1 - rank / 10} llm-qe-dense\n`),
  );
  writeFileSync(file, lines.join(''));
}

function writeReportFile(folder: string, queries: readonly { at: number; text: string; grade: number }[]): void {
  const report = {
    format: 'llm-qe report 2',
    dataset: { name: 'words', split: 'test' },
    arms: ['raw', 'expanded'].map((name) => ({ name, description: 'dense' })),
    comparisons: [{ arm: 'expanded', baseline: 'raw', measure: 'nDCG@10' }],
    queries: queries.map(({ at, text, grade }) => ({
      ...{ id: `q${at}`, text, relevant: [{ id: `d${at}`, grade }] },
      expansions: [at === 0 ? 'a tool <b>that</b> cuts' : `it is number ${at}`],
    })),
  };
  writeFileSync(join(folder, 'report.json'), JSON.stringify(report));
}
