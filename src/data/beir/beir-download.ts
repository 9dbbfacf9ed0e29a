import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  address,
  allowAgain,
  chooseSetting,
  claimNeighbour,
  DataError,
  DurableFile,
  download,
  isAbort,
  isThere,
  type LlmQeError,
  NetworkError,
  type Progress,
  refuseStandInFile,
  SILENT,
  syncFolder,
  throwIfAborted,
  UsageError,
  unpackZip,
  whatForbids,
} from '../../system/index.ts';
import { BeirDataset } from './beir.ts';
import { BEIR_DATASETS, BEIR_MIRRORS, type BeirMirror, type BeirSource } from './beir-table.ts';
import { downloadedFolder } from './downloaded-folder.ts';

export interface BeirDownloadOptions {
  /** The data set's folder is created inside this one. */
  folder: string;
  /** Address of the folder that holds `NAME.zip`, or several separated by commas. Default: `LLM_QE_BEIR_URL`, or else the known mirrors. */
  baseUrl?: string | undefined;
  /** The places to try, in this order, if no address is given. Default: {@link BEIR_MIRRORS}. */
  mirrors?: readonly BeirMirror[] | undefined;
  /** Expected MD5 of the zip instead of the published one; required for a data set that is not in the table. */
  md5?: string | undefined;
  /** True: never connect. Undefined: the environment decides. */
  offline?: boolean | undefined;
  environment?: NodeJS.ProcessEnv;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/**
 * Downloads a BEIR data set and unpacks it to `FOLDER/NAME`, which appears only when it is complete. The mirrors are tried in order. An
 * interrupted transfer is resumed. An existing data set is left as it is.
 *
 * @returns the data sets inside: one, or the twelve forums of `cqadupstack`
 * @throws UsageError if the name is unknown
 * @throws DataError if the checksum is wrong, if the archive would write outside the folder, or if it lacks the data set
 * @throws NetworkError, ResourceError, AbortedError
 */
export async function downloadBeir(name: string, options: BeirDownloadOptions): Promise<BeirDataset[]> {
  const source = findSource(name, options.md5);
  return downloadedFolder(
    name,
    options,
    (target) => fetchTo(target, name, source, options),
    (target) => openParts(target, source),
  );
}

function findSource(name: string, md5: string | undefined): BeirSource {
  const known = Object.hasOwn(BEIR_DATASETS, name) ? BEIR_DATASETS[name] : undefined;
  if (known !== undefined) return { ...known, md5: md5?.toLowerCase() ?? known.md5 };
  if (md5 !== undefined && /^[a-z0-9][\w.-]*$/i.test(name)) return { md5: md5.toLowerCase(), split: 'test' };
  throw new UsageError(`${JSON.stringify(name)} is not one of BEIR's data sets`, {
    fix: `Choose one of ${Object.keys(BEIR_DATASETS).join(', ')}. For another data set, also pass the MD5 of its zip (--md5).`,
  });
}

async function fetchTo(target: string, name: string, source: BeirSource, options: BeirDownloadOptions): Promise<void> {
  const zip = `${target}.zip`;
  const isNew = !(await isThere(zip));
  if (isNew) {
    refuseDownload(name, options.offline, options.environment ?? process.env);
    await fetchZip(zip, name, source, options);
  }
  try {
    // An earlier call may have been stopped before it checked the archive.
    if (!isNew) await checkZip(zip, source, options);
    await unpackTo(target, zip, name, source, options.signal);
  } catch (error) {
    // A bad archive would be bad again, so it is removed. One for which the disk had no room is unpacked by the next call.
    if (error instanceof DataError) await rm(zip, { force: true });
    throw error;
  }
  await rm(zip, { force: true });
}

/** Retries at a mirror if another one follows. The last one is given the usual number. */
const RETRIES_BEFORE_NEXT = 2;

/** Downloads and checks the zip: from the first mirror that serves it. @throws DataError or NetworkError that tells of each mirror */
async function fetchZip(zip: string, name: string, source: BeirSource, options: BeirDownloadOptions): Promise<void> {
  const mirrors = mirrorsOf(options);
  const refused: { base: string; error: LlmQeError }[] = [];
  for (const [at, mirror] of mirrors.entries()) {
    // Two mirrors never share a partial file: what one has sent is kept while another is tried.
    const file = at === 0 ? zip : `${zip}.mirror-${at + 1}`;
    const retries = at === mirrors.length - 1 ? undefined : RETRIES_BEFORE_NEXT;
    try {
      await fetchFrom(mirror, file, name, { ...options, retries });
      await checkZip(file, source, options);
      if (file !== zip) await rename(file, zip);
      await removePartials(zip, mirrors.length);
      return;
    } catch (error) {
      if (error instanceof DataError) await rm(file, { force: true });
      if (isAbort(error) || !(error instanceof DataError || error instanceof NetworkError)) throw error;
      refused.push({ base: mirror.base, error });
      if (at < mirrors.length - 1) options.progress?.warn?.(`${error.message}; trying the next mirror`);
    }
  }
  throw refused.length === 1 ? refused[0]!.error : noMirror(name, refused);
}

function mirrorsOf({ baseUrl, mirrors, environment }: BeirDownloadOptions): readonly BeirMirror[] {
  const chosen = chooseSetting(baseUrl, 'beirUrl', environment ?? process.env);
  const all =
    chosen === undefined ? (mirrors ?? BEIR_MIRRORS) : chosen.split(',').map((base) => ({ base: base.trim() }));
  return all.map((mirror) => ({ ...mirror, base: mirror.base.replace(/\/+$/, '') }));
}

function noMirror(name: string, refused: readonly { base: string; error: LlmQeError }[]): LlmQeError {
  const told = refused.map(({ base, error }) => `${address(base)}: ${error.message}`).join('; ');
  const Kind = refused.every(({ error }) => error instanceof NetworkError) ? NetworkError : DataError;
  return new Kind(`no mirror serves ${name} (${told})`, {
    fix: 'Run the same command again: what was downloaded is kept. For a mirror of your own, pass --base-url or set LLM_QE_BEIR_URL.',
  });
}

/** Downloads the zip, or its parts one after the other, to one file. */
async function fetchFrom(
  { base, parts = {} }: BeirMirror,
  file: string,
  name: string,
  { signal, progress = SILENT, retries }: BeirDownloadOptions & { retries: number | undefined },
): Promise<void> {
  const count = Object.hasOwn(parts, name) ? parts[name]! : undefined;
  if (count === undefined) {
    await download(`${base}/${name}.zip`, file, { signal, progress, retries, label: `downloading ${name}` });
    return;
  }
  const names = Array.from({ length: count }, (_none, at) => `part-${String(at).padStart(3, '0')}`);
  for (const [at, part] of names.entries()) {
    const label = `downloading ${name}, part ${at + 1} of ${count}`;
    const target = `${file}.${part}`;
    if (await isThere(target)) continue;
    await download(`${base}/${name}.zip.${part}`, target, { signal, progress, retries, label });
    await refuseStandInFile(target).catch(async (error: unknown) => {
      await rm(target, { force: true });
      throw error;
    });
  }
  await joinFiles(
    names.map((part) => `${file}.${part}`),
    file,
    signal,
  );
}

/** Appends files to one another. They are removed when the whole is there. */
async function joinFiles(parts: readonly string[], file: string, signal: AbortSignal | undefined): Promise<void> {
  const whole = await DurableFile.create(file);
  try {
    for (const part of parts) {
      for await (const chunk of createReadStream(part, { highWaterMark: 1 << 20 })) {
        throwIfAborted(signal);
        await whole.write(chunk as Buffer);
      }
    }
  } catch (error) {
    await whole.discard();
    throw error;
  }
  await whole.commit();
  for (const part of parts) await rm(part, { force: true });
}

/** Removes what mirrors left that were given up. */
async function removePartials(zip: string, mirrors: number): Promise<void> {
  for (let at = 0; at < mirrors; at++) {
    const file = at === 0 ? zip : `${zip}.mirror-${at + 1}`;
    for (const left of [`${file}.part`, `${file}.part.json`]) await rm(left, { force: true });
  }
}

/** @throws DataError if connections are switched off */
export function refuseDownload(name: string, offline: boolean | undefined, environment: NodeJS.ProcessEnv): void {
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

async function checkZip(file: string, { md5 }: BeirSource, { signal }: BeirDownloadOptions): Promise<void> {
  await refuseStandInFile(file);
  await checkMd5(file, md5, signal);
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
