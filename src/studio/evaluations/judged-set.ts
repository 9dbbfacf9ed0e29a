import { basename, join, resolve } from 'node:path';
import { BeirDataset, documentSchema, readQrels } from '../../data/index.ts';
import { LineIndex, LineReader, parseJsonLine, readJsonl } from '../../files/index.ts';
import type { Qrels } from '../../measures/index.ts';
import { DataError, isThere, type Progress } from '../../system/index.ts';
import type { EvaluationFiles } from './evaluation-files.ts';

/** A data set whose queries were evaluated. */
export interface JudgedSet {
  folder: string;
  qrelsFile: string;
  qrels: Qrels;
  /** The text of every query. */
  texts: ReadonlyMap<string, string>;
  documents: DocumentLines;
}

/**
 * Finds the data set of an evaluation: in its own folder, where its record says, among the corpora of the studio, or in the folder of
 * downloads. Queries whose texts were recorded must be those of the data set.
 */
export async function findJudgedSet(
  { dataset, texts }: Pick<EvaluationFiles, 'dataset' | 'texts'>,
  corpora: readonly string[],
): Promise<JudgedSet | undefined> {
  const { name, split, folders } = dataset;
  // Without recorded texts only the name tells that a corpus is the right one.
  const others = corpora.filter((path) => texts !== undefined || basename(resolve(path)) === name);
  const downloads = name === '' || /^[/.~]|\.\.|[\\\0]/.test(name) ? [] : [join('data', name)];
  for (const folder of [...folders, ...others, ...downloads]) {
    const found = await openJudgedSet(folder, split, texts);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function openJudgedSet(
  folder: string,
  split: string,
  recorded: ReadonlyMap<string, string> | undefined,
): Promise<JudgedSet | undefined> {
  const wanted = [join(folder, 'queries.jsonl'), join(folder, 'qrels', `${split}.tsv`)];
  for (const file of wanted) if (!(await isThere(file))) return undefined;
  try {
    const set = await BeirDataset.open(folder);
    const queries = await set.queries();
    for (const [id, text] of recorded ?? []) if (queries.get(id)?.text !== text) return undefined;
    const qrelsFile = await set.qrelsFile(split);
    return {
      ...{ folder, qrelsFile, qrels: await readQrels(qrelsFile) },
      texts: new Map([...queries].map(([id, query]) => [id, query.text])),
      documents: new DocumentLines(set.corpusFile),
    };
  } catch (error) {
    // Another data set, or a damaged one, is none for this evaluation: it can still be looked at.
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

export interface DocumentText {
  title: string;
  text: string;
}

/** The documents of a corpus file, read by id. Memory holds only the positions of the lines. */
export class DocumentLines {
  readonly file: string;
  readonly #reader: LineReader;
  #index: Promise<LineIndex | undefined> | undefined;
  #count = 0;

  constructor(file: string) {
    this.file = file;
    this.#reader = new LineReader(file);
  }

  /** The documents that the corpus has; none if it is compressed, since its lines can then not be found. */
  async read(
    ids: readonly string[],
    { signal, progress }: { signal?: AbortSignal; progress?: Progress } = {},
  ): Promise<Map<string, DocumentText>> {
    this.#index ??= this.#open(signal, progress).catch((error: unknown) => {
      this.#index = undefined;
      throw error;
    });
    const index = await this.#index;
    const found = new Map<string, DocumentText>();
    if (index === undefined) return found;
    for (const id of ids) {
      for (const start of index.startsOf(id)) {
        const document = parseJsonLine(await this.#reader.read(start), documentSchema, this.file, 0);
        if (document.id === id) found.set(id, { title: document.title, text: document.text });
      }
    }
    return found;
  }

  /** Documents of the file, once one was read. */
  get size(): number {
    return this.#count;
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  async #open(signal: AbortSignal | undefined, progress: Progress | undefined): Promise<LineIndex | undefined> {
    const index = new LineIndex();
    const task = progress?.task('finding the documents', undefined, 'documents');
    try {
      for await (const { value, start } of readJsonl(this.file, documentSchema, signal)) {
        if (start === undefined) return undefined;
        index.add(value.id, start);
        this.#count++;
        task?.advance();
      }
      return index;
    } finally {
      task?.done();
    }
  }
}
