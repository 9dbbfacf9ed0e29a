import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { Qrels } from '../../measures/index.ts';
import { DataError, isThere, UsageError } from '../../system/index.ts';
import { countDocuments, readCorpus, readQueries } from './corpus.ts';
import { cachedSha256 } from './corpus-hash.ts';
import type { Document, Query } from './records.ts';
import { readQrels } from './trec.ts';

const USUAL_SPLITS = ['train', 'dev', 'test'];

/** Queries and judgements that are not in a data set's folder; the judgements by the name of their split. */
interface LooseFiles {
  queries: string;
  qrels: Readonly<Record<string, string>>;
}

/**
 * A data set in BEIR's layout: `corpus.jsonl`, `queries.jsonl` (either may end in `.gz`) and `qrels/<split>.tsv`.
 */
export class BeirDataset {
  /** Absolute path. */
  readonly folder: string;
  /** Last part of the path. */
  readonly name: string;
  readonly corpusFile: string;
  /** Set if the data set's files are not in one folder. */
  readonly #loose: LooseFiles | undefined;

  private constructor(folder: string, corpusFile: string, loose?: LooseFiles) {
    this.folder = folder;
    this.name = loose === undefined ? basename(folder) : basename(corpusFile).replace(/\.jsonl(\.gz)?$/, '');
    this.corpusFile = corpusFile;
    this.#loose = loose;
  }

  /** Makes a data set of files in any place. @throws DataError if one does not exist */
  static async ofFiles({ corpus, queries, qrels }: LooseFiles & { corpus: string }): Promise<BeirDataset> {
    const files = { queries: resolve(queries), qrels: mapValues(qrels, (file) => resolve(file)) };
    for (const file of [resolve(corpus), files.queries, ...Object.values(files.qrels)]) {
      if (!(await isThere(file))) throw new DataError('no such file', { file, fix: 'Check the path.' });
    }
    return new BeirDataset(dirname(resolve(corpus)), resolve(corpus), files);
  }

  /** Opens a data set. Only the folder's listing is read. @throws DataError if it has no corpus */
  static async open(folder: string): Promise<BeirDataset> {
    const absolute = resolve(folder);
    const found = await stat(absolute).catch(() => undefined);
    if (!found?.isDirectory()) {
      throw new DataError(found ? 'is not a folder' : 'no such folder', {
        file: absolute,
        fix: "Pass the folder of a data set in BEIR's layout, or download one with `llm-qe data beir NAME`.",
      });
    }
    const corpus = await plainOrGzip(join(absolute, 'corpus.jsonl'));
    if (corpus !== undefined) return new BeirDataset(absolute, corpus);
    throw new DataError('the folder holds no corpus.jsonl (nor corpus.jsonl.gz)', {
      file: absolute,
      fix: await fixForMissingCorpus(absolute),
    });
  }

  /** Returns the names of the splits with judgements: train, dev and test first, then the others by name. */
  async splits(): Promise<string[]> {
    if (this.#loose !== undefined) return Object.keys(this.#loose.qrels);
    const files = await readdir(join(this.folder, 'qrels')).catch(() => []);
    const names = files.filter((file) => file.endsWith('.tsv')).map((file) => file.slice(0, -'.tsv'.length));
    const usual = USUAL_SPLITS.filter((split) => names.includes(split));
    return [...usual, ...names.filter((name) => !USUAL_SPLITS.includes(name)).sort()];
  }

  /** Streams the documents. See {@link readCorpus}. */
  documents(signal?: AbortSignal): AsyncGenerator<Document> {
    return readCorpus(this.corpusFile, signal);
  }

  /** Returns the number of documents, counted by lines. See {@link countDocuments}. */
  count(signal?: AbortSignal): Promise<number> {
    return countDocuments(this.corpusFile, signal);
  }

  /**
   * Returns the queries by id.
   *
   * @param options.file another file than `queries.jsonl`: a name inside the folder (`queries_q2d.jsonl`), or a path
   * @throws DataError
   */
  async queries(
    options: { file?: string | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Map<string, Query>> {
    return readQueries(await this.queriesFile(options.file), options.signal);
  }

  /** Returns the path of the file that {@link queries} reads. @throws DataError if it is missing */
  async queriesFile(name = this.#loose?.queries ?? 'queries.jsonl'): Promise<string> {
    const inside = isAbsolute(name) ? name : join(this.folder, name);
    const found = (await plainOrGzip(inside)) ?? (await plainOrGzip(resolve(name)));
    if (found !== undefined) return found;
    throw new DataError('no such file', {
      file: inside,
      fix: 'A data set has its queries in queries.jsonl. For another file, pass its name inside the folder.',
    });
  }

  /** Returns the judgements of one split. @throws DataError if there are none; it lists the existing splits */
  async qrels(split: string, signal?: AbortSignal): Promise<Qrels> {
    return readQrels(await this.qrelsFile(split), signal);
  }

  /** Returns the path of a split's judgements. @throws DataError if it is missing */
  async qrelsFile(split: string): Promise<string> {
    if (split === '' || /[/\\]/.test(split)) {
      throw new UsageError(`${JSON.stringify(split)} is not the name of a split`, { fix: 'Use train, dev or test.' });
    }
    const file = this.#loose?.qrels[split] ?? join(this.folder, 'qrels', `${split}.tsv`);
    if ((this.#loose === undefined || Object.hasOwn(this.#loose.qrels, split)) && (await isThere(file))) return file;
    const splits = await this.splits();
    throw new DataError(`the data set has no split ${JSON.stringify(split)}`, {
      file,
      fix: splits.length === 0 ? 'Put the judgements into this file.' : `Choose one of these: ${splits.join(', ')}.`,
    });
  }

  /** Returns the SHA-256 of the corpus file's bytes. It is stored, and reused while the file's size and modification time stay the same. */
  async corpusHash(signal?: AbortSignal): Promise<string> {
    return cachedSha256(this.corpusFile, signal);
  }
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}

async function plainOrGzip(file: string): Promise<string | undefined> {
  for (const candidate of [file, `${file}.gz`]) {
    if (await isThere(candidate)) return candidate;
  }
  return undefined;
}

/** CQADupStack and many collections made by hand hold their data sets one level down. */
async function fixForMissingCorpus(folder: string): Promise<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  const inside: string[] = [];
  for (const entry of entries.filter((candidate) => candidate.isDirectory())) {
    if ((await plainOrGzip(join(folder, entry.name, 'corpus.jsonl'))) !== undefined) inside.push(entry.name);
  }
  if (inside.length === 0) return 'Pass the folder that holds corpus.jsonl, queries.jsonl and qrels/.';
  return `Use one of the data sets inside it: ${inside.sort().join(', ')}.`;
}
