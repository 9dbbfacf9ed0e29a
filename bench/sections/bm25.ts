import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Document } from '../../src/data/index.ts';
import { Bm25Index, repeatQuery } from '../../src/search/index.ts';
import { medianSeconds, REPETITIONS, type Row, runPeer, scaled, threadCount, withFolder } from '../harness.ts';
import { joinGlosses, readWordnet } from '../wordnet.ts';

const DOCUMENTS = scaled(50_000, 1000);
const QUERIES = scaled(1000, 50);

/** Number of glosses per passage: about 45 words, as in passages of web collections. */
const GLOSSES_PER_PASSAGE = 4;

/** Glosses of a long expansion, about 110 words. */
const GLOSSES_OF_LONG = 11;

interface Task {
  what: string;
  queries: string[];
  k: number;
}

interface PeerResult {
  index: number;
  searches: { seconds: number; first: number[] }[];
}

/** Measures indexing of passages, and searches with questions and expanded questions; from texts to rankings. */
export async function run(): Promise<Row[]> {
  return withFolder(async (folder) => {
    const { documents, tasks } = await makeTexts(folder);
    const corpus = join(folder, 'corpus.jsonl');
    await writeFile(corpus, documents.map(({ text }) => `${JSON.stringify(text)}\n`).join(''));
    const indexing = await medianSeconds(() => Bm25Index.build(documents));
    const index = await Bm25Index.build(documents);
    const ours: number[] = [];
    for (const { queries, k } of tasks) ours.push(await medianSeconds(() => index.search(queries, k)));
    const peer = runPeer<PeerResult>('bm25.py', {
      corpus,
      searches: tasks.map(({ queries, k }) => ({ queries, k })),
      threads: threadCount(),
      repetitions: REPETITIONS,
    });
    const common = { unit: 's', largerIsBetter: false, peerName: 'bm25s, its fastest back end' };
    const rows: Row[] = [{ what: `index ${DOCUMENTS} passages`, ...common, ours: indexing, peer: peer?.index }];
    for (const [at, task] of tasks.entries()) {
      const found = peer?.searches[at];
      const note = found && `same first document: ${await agreement(index, task, found.first)} %`;
      rows.push({
        what: `${QUERIES} ${task.what}, k ${task.k}`,
        ...common,
        ours: ours[at]!,
        peer: found?.seconds,
        note,
      });
    }
    return rows;
  });
}

async function makeTexts(folder: string): Promise<{ documents: Document[]; tasks: Task[] }> {
  const wordnet = await readWordnet(folder, DOCUMENTS, QUERIES);
  const documents = wordnet.documents.map((_gloss, at) => ({
    id: String(at),
    title: '',
    text: joinGlosses(wordnet.documents, at, GLOSSES_PER_PASSAGE),
  }));
  const questions = wordnet.queries.map(({ text }) => text);
  const expanded = questions.map(
    (text, at) => `${text} ${joinGlosses(wordnet.documents, at * 31, GLOSSES_PER_PASSAGE)}`,
  );
  // As BM25 searches by default: the question five times, then the expansion.
  const repeated = questions.map((text, at) =>
    repeatQuery(text, [joinGlosses(wordnet.documents, at * 31, GLOSSES_OF_LONG)]),
  );
  const kinds = { questions, 'expanded questions': expanded, 'questions five times and long expansions': repeated };
  const tasks = Object.entries(kinds).flatMap(([what, queries]) => [100, 1000].map((k) => ({ what, queries, k })));
  return { documents, tasks };
}

/** Percentage of queries whose best document is also the peer's. Analysis and lengths differ a little. */
async function agreement(index: Bm25Index, { queries, k }: Task, first: readonly number[]): Promise<number> {
  const hits = [...(await index.search(queries, k))];
  const same = hits.filter((list, at) => Number(list[0]?.id) === first[at]).length;
  return Math.round((100 * same) / queries.length);
}
