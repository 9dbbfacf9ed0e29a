import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  allowAgain,
  chooseSetting,
  claimNeighbour,
  DataError,
  download,
  isThere,
  makeFolder,
  type Progress,
  refuseStandInFile,
  SILENT,
  syncFolder,
  systemFault,
  throwIfAborted,
  UsageError,
  unpackZip,
  whatForbids,
  withFileLock,
} from '../../system/index.ts';
import { BeirDataset } from './beir.ts';
import { BEIR_DATASETS, BEIR_URL, type BeirSource } from './beir-table.ts';

export interface BeirDownloadOptions {
  /** The data set's folder is created inside this one. */
  folder: string;
  /** Address of the folder that holds `NAME.zip`. Default: `LLM_QE_BEIR_URL`, or else BEIR's own server. */
  baseUrl?: string | undefined;
  /** Expected MD5 of the zip instead of the published one; required for a data set that is not in the table. */
  md5?: string | undefined;
  /** True: never connect. Undefined: the environment decides. */
  offline?: boolean | undefined;
  environment?: NodeJS.ProcessEnv;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/**
 * Downloads a BEIR data set and unpacks it to `FOLDER/NAME`, which appears only when it is complete. An interrupted transfer is
 * resumed. An existing data set is left as it is.
 *
 * @returns the data sets inside: one, or the twelve forums of `cqadupstack`
 * @throws UsageError if the name is unknown
 * @throws DataError if the checksum is wrong, if the archive would write outside the folder, or if it lacks the data set
 * @throws NetworkError, ResourceError, AbortedError
 */
export async function downloadBeir(name: string, options: BeirDownloadOptions): Promise<BeirDataset[]> {
  const source = findSource(name, options.md5);
  const folder = resolve(options.folder);
  const target = join(folder, name);
  try {
    await makeFolder(folder);
    return await withFileLock(
      `${target}.lock`,
      async () => {
        if (!(await isThere(target))) await fetchTo(target, name, source, options);
        return openParts(target, source);
      },
      { signal: options.signal, progress: options.progress, what: `downloads ${name}` },
    );
  } catch (error) {
    throw systemFault(error, target);
  }
}

function findSource(name: string, md5: string | undefined): BeirSource {
  const known = Object.hasOwn(BEIR_DATASETS, name) ? BEIR_DATASETS[name] : undefined;
  if (known !== undefined) return { ...known, md5: md5?.toLowerCase() ?? known.md5 };
  if (md5 !== undefined && /^[a-z0-9][\w.-]*$/i.test(name)) return { md5: md5.toLowerCase(), split: 'test' };
  throw new UsageError(`${JSON.stringify(name)} is not one of BEIR's data sets`, {
    fix: `Choose one of ${Object.keys(BEIR_DATASETS).join(', ')}. For another data set, also pass the MD5 of its zip (--md5).`,
  });
}

async function fetchTo(
  target: string,
  name: string,
  source: BeirSource,
  { baseUrl, offline, environment = process.env, signal, progress = SILENT }: BeirDownloadOptions,
): Promise<void> {
  const base = (chooseSetting(baseUrl, 'beirUrl', environment) ?? BEIR_URL).replace(/\/+$/, '');
  const zip = `${target}.zip`;
  if (!(await isThere(zip))) {
    refuseDownload(name, offline, environment);
    await download(`${base}/${name}.zip`, zip, { signal, progress, label: `downloading ${name}` });
  }
  try {
    await refuseStandInFile(zip);
    await checkMd5(zip, source.md5, signal);
    await unpackTo(target, zip, name, source, signal);
  } catch (error) {
    // A bad archive would be bad again, so it is removed. One for which the disk had no room is unpacked by the next call.
    if (error instanceof DataError) await rm(zip, { force: true });
    throw error;
  }
  await rm(zip, { force: true });
}

function refuseDownload(name: string, offline: boolean | undefined, environment: NodeJS.ProcessEnv): void {
  const forbids = whatForbids('downloads', offline, environment);
  if (forbids === undefined) return;
  throw new DataError(`${name} is not downloaded yet, and connections are switched off by ${forbids}`, {
    fix: `${allowAgain(forbids)}, or use the folder of a data set that you have.`,
  });
}

/** Unpacks into a temporary folder and moves the complete data set into place. */
async function unpackTo(
  target: string,
  zip: string,
  name: string,
  source: BeirSource,
  signal: AbortSignal | undefined,
): Promise<void> {
  const unpacked = await claimNeighbour(target, 'partial');
  try {
    await unpackZip(zip, unpacked, { include: (entry) => entry.startsWith(`${name}/`), signal });
    throwIfAborted(signal);
    await openParts(join(unpacked, name), source);
    await rename(join(unpacked, name), target);
    await syncFolder(resolve(target, '..'));
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
}

/** BEIR publishes MD5 sums. They detect a damaged transfer, not a forged one. */
async function checkMd5(zip: string, expected: string, signal: AbortSignal | undefined): Promise<void> {
  const hash = createHash('md5');
  for await (const chunk of createReadStream(zip, { highWaterMark: 1 << 20 })) {
    throwIfAborted(signal);
    hash.update(chunk);
  }
  const found = hash.digest('hex');
  if (found === expected) return;
  throw new DataError(`the archive has MD5 ${found}, but ${expected} was expected`, {
    file: zip,
    fix: 'The archive was removed. Run the same command again. If the source has really changed, pass its MD5 (--md5).',
  });
}

async function openParts(folder: string, { parts }: BeirSource): Promise<BeirDataset[]> {
  const folders = parts === undefined ? [folder] : Object.keys(parts).map((part) => join(folder, part));
  const datasets: BeirDataset[] = [];
  for (const path of folders) {
    const dataset = await BeirDataset.open(path);
    await dataset.queriesFile();
    datasets.push(dataset);
  }
  return datasets;
}
