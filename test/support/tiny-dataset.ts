import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const WORDS = ['saw', 'boat', 'bird', 'tree', 'cat', 'cup', 'hat', 'sun'];
/** The rows of the words that a split judges. */
const SPLITS = { train: [0, 1, 2, 3], dev: [4, 5], test: [6, 7] };

/** Writes a data set in BEIR's layout: eight words, and what each is. Query `q1` wants document `d1`. */
export function writeTinyDataset(folder: string): void {
  mkdirSync(join(folder, 'qrels'), { recursive: true });
  const lines = (records: object[]) => `${records.map((record) => JSON.stringify(record)).join('\n')}\n`;
  const corpus = WORDS.map((word, row) => ({ _id: `d${row}`, title: '', text: `a ${word} is a ${word}` }));
  writeFileSync(join(folder, 'corpus.jsonl'), lines(corpus));
  writeFileSync(join(folder, 'queries.jsonl'), lines(WORDS.map((text, row) => ({ _id: `q${row}`, text }))));
  for (const [split, rows] of Object.entries(SPLITS)) {
    const judged = rows.map((row) => `q${row}\td${row}\t1\n`).join('');
    writeFileSync(join(folder, 'qrels', `${split}.tsv`), `query-id\tcorpus-id\tscore\n${judged}`);
  }
}
