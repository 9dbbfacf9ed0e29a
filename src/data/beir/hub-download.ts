import { createHash } from 'node:crypto';
import { link, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { describeIssues, idSchema, writeJsonl, writeLines } from '../../files/index.ts';
import {
  chooseSetting,
  claimNeighbour,
  DataError,
  download,
  isThere,
  LlmQeError,
  makeFolder,
  type Progress,
  refuseStandInFile,
  syncFolder,
  systemFault,
  throwIfAborted,
} from '../../system/index.ts';
import { BeirDataset } from './beir.ts';
import { type BeirDownloadOptions, downloadBeir, refuseDownload } from './beir-download.ts';
import type { HubSource, PinnedAddress } from './beir-table.ts';
import { downloadedFolder } from './downloaded-folder.ts';

/** The file of a set that lists documents which do not count for a query: `query<TAB>document`. */
export const EXCLUDED_FILE = 'excluded.tsv';

const HUB = 'https://huggingface.co';

/** Codecs beside Snappy, which the hub's own tools write and the reader knows. */
const COMPRESSORS = {
  GZIP: (input: Uint8Array) => gunzipSync(input),
  BROTLI: (input: Uint8Array) => brotliDecompressSync(input),
};

/** Rows that are held at once. */
const ROWS_AT_ONCE = 5000;

type Options = Omit<BeirDownloadOptions, 'md5'>;

/**
 * Downloads a set that is not published in BEIR's layout, and writes it to `FOLDER/NAME` in that layout. The folder appears only when it is complete.
 * The hub states no checksums that could be pinned: size and format are checked.
 * @throws DataError if a file is not what it should be; NetworkError, ResourceError, AbortedError
 */
export async function downloadFromHub(name: string, source: HubSource, options: Options): Promise<BeirDataset> {
  return downloadedFolder(
    name,
    options,
    (target) => fetchTo(target, name, source, options),
    (target) => BeirDataset.open(target),
  );
}

async function fetchTo(target: string, name: string, source: HubSource, options: Options): Promise<void> {
  refuseDownload(name, options.offline, options.environment ?? process.env);
  // Finished files stay when a later one fails, so that nothing is downloaded twice.
  const files = `${target}.files`;
  const made = await claimNeighbour(target, 'partial');
  try {
    await makeFolder(files);
    await mkdir(join(made, 'qrels'), { recursive: true });
    if (source.kind === 'trec-dl') await makeTrecDl(made, files, source, options);
    else if (source.kind === 'nano') await makeNano(made, files, source.repository, options);
    else await makeBright(made, files, source, options);
    throwIfAborted(options.signal);
    await rename(made, target);
    await syncFolder(resolve(target, '..'));
    await rm(files, { recursive: true, force: true });
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

const text = z.string();
const nanoText = z.object({ _id: idSchema, text });
const nanoJudgement = z.object({ 'query-id': idSchema, 'corpus-id': idSchema });

async function makeNano(made: string, files: string, repository: string, options: Options): Promise<void> {
  const rowsOf = async <T>(part: string, schema: z.ZodType<T>) => {
    const file = join(files, `${part}.parquet`);
    await fetchFromHub(repository, `${part}/train-00000-of-00001.parquet`, file, options);
    return parquetRows(file, schema, options.signal);
  };
  await writeJsonl(join(made, 'corpus.jsonl'), await rowsOf('corpus', nanoText));
  await writeJsonl(join(made, 'queries.jsonl'), await rowsOf('queries', nanoText));
  const judgements = await rowsOf('qrels', nanoJudgement);
  await writeQrels(made, judged(judgements));
}

async function* judged(rows: AsyncIterable<z.output<typeof nanoJudgement>>): AsyncGenerator<[string, string]> {
  for await (const row of rows) yield [row['query-id'], row['corpus-id']];
}

const brightDocument = z.object({ id: idSchema, content: text });
const brightExample = z.object({
  id: idSchema,
  query: text,
  gold_ids: z.array(idSchema),
  excluded_ids: z.array(text).default([]),
});

async function makeBright(
  made: string,
  files: string,
  { repository, domain }: Extract<HubSource, { kind: 'bright' }>,
  options: Options,
): Promise<void> {
  const fileOf = async (part: string) => {
    const file = join(files, `${part}.parquet`);
    await fetchFromHub(repository, `${part}/${domain}-00000-of-00001.parquet`, file, options);
    return file;
  };
  const documents = parquetRows(await fileOf('documents'), brightDocument, options.signal);
  await writeJsonl(join(made, 'corpus.jsonl'), renamed(documents));
  const examples = [];
  for await (const one of parquetRows(await fileOf('examples'), brightExample, options.signal)) examples.push(one);
  await writeJsonl(
    join(made, 'queries.jsonl'),
    examples.map(({ id, query }) => ({ _id: id, text: query })),
  );
  await writeQrels(
    made,
    examples.flatMap(({ id, gold_ids: gold }) => [...new Set(gold)].map((one): [string, string] => [id, one])),
  );
  // Where nothing is excluded, the data say "N/A".
  const excluded = examples.flatMap(({ id, excluded_ids: all }) =>
    all.filter((one) => one !== 'N/A').map((one) => `${id}\t${one}`),
  );
  if (excluded.length > 0) await writeLines(join(made, EXCLUDED_FILE), excluded);
}

async function* renamed(rows: AsyncIterable<z.output<typeof brightDocument>>) {
  for await (const { id, content } of rows) yield { _id: id, text: content };
}

async function makeTrecDl(
  made: string,
  files: string,
  { topics, judgements }: Extract<HubSource, { kind: 'trec-dl' }>,
  options: Options,
): Promise<void> {
  const [queries, qrels] = [join(files, 'queries.tsv.gz'), join(files, 'qrels.txt')];
  await fetchPinned(topics, queries, options);
  await fetchPinned(judgements, qrels, options);
  const [corpus] = await downloadBeir('msmarco', options);
  const lines = gunzipSync(await readFile(queries))
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  await writeJsonl(
    join(made, 'queries.jsonl'),
    lines.map((line) => {
      const [id, ...words] = line.trimEnd().split('\t');
      return { _id: id, text: words.join(' ') };
    }),
  );
  await writeLines(join(made, 'qrels', 'test.tsv'), (await readFile(qrels, 'utf8')).trimEnd().split('\n'));
  await link(corpus!.corpusFile, join(made, 'corpus.jsonl'));
}

async function writeQrels(
  made: string,
  pairs: Iterable<[string, string]> | AsyncIterable<[string, string]>,
): Promise<void> {
  await writeLines(join(made, 'qrels', 'test.tsv'), qrelLines(pairs));
}

async function* qrelLines(pairs: Iterable<[string, string]> | AsyncIterable<[string, string]>): AsyncGenerator<string> {
  yield 'query-id\tcorpus-id\tscore';
  for await (const [query, document] of pairs) yield `${query}\t${document}\t1`;
}

async function fetchFromHub(repository: string, path: string, file: string, options: Options): Promise<void> {
  const { baseUrl, environment = process.env } = options;
  const hub = (baseUrl ?? chooseSetting(undefined, 'hubEndpoint', environment) ?? HUB).replace(/\/+$/, '');
  await fetchFile(`${hub}/datasets/${repository}/resolve/main/${path}`, file, `${repository}/${path}`, options);
}

async function fetchPinned({ url, md5 }: PinnedAddress, file: string, options: Options): Promise<void> {
  await fetchFile(url, file, url.split('/').at(-1)!, options);
  const found = createHash('md5')
    .update(await readFile(file))
    .digest('hex');
  if (found === md5) return;
  await rm(file, { force: true });
  throw new DataError(`has MD5 ${found}, but ${md5} was expected`, {
    file,
    fix: 'The file was removed. Run the same command again. If this happens again, the file at the source has changed.',
  });
}

async function fetchFile(
  url: string,
  file: string,
  what: string,
  { signal, progress }: { signal?: AbortSignal | undefined; progress?: Progress | undefined },
): Promise<void> {
  if (await isThere(file)) return;
  await download(url, file, { signal, progress, label: `downloading ${what}` });
  // A gzip-compressed file is meant to be one.
  if (file.endsWith('.gz')) return;
  await refuseStandInFile(file).catch(async (error: unknown) => {
    await rm(file, { force: true });
    throw error;
  });
}

/** Reads a Parquet file some thousand rows at a time. @throws DataError if it is broken or lacks a column */
async function* parquetRows<T>(
  file: string,
  schema: z.ZodType<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  const fix =
    'Remove the file and run the same command again. If this happens again, the data at the source have changed.';
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet');
  try {
    const buffer = await asyncBufferFromFile(file);
    const metadata = await parquetMetadataAsync(buffer);
    const rows = Number(metadata.num_rows);
    for (let rowStart = 0; rowStart < rows; rowStart += ROWS_AT_ONCE) {
      throwIfAborted(signal);
      const rowEnd = Math.min(rows, rowStart + ROWS_AT_ONCE);
      const batch = await parquetReadObjects({ file: buffer, metadata, rowStart, rowEnd, compressors: COMPRESSORS });
      for (const [at, row] of batch.entries()) {
        const parsed = schema.safeParse(row);
        if (!parsed.success) throw new DataError(describeIssues(parsed.error), { file, line: rowStart + at + 1, fix });
        yield parsed.data;
      }
    }
  } catch (cause) {
    if (cause instanceof LlmQeError) throw cause;
    const known = systemFault(cause, file);
    if (known instanceof LlmQeError) throw known;
    throw new DataError(`is not a Parquet file that can be read (${(cause as Error).message})`, { file, fix, cause });
  }
}
