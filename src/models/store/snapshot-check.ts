import { lstat, readFile, readlink, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CacheKind, contentKey, LlmQeError, ModelError, NetworkError, writeDurably } from '../../system/index.ts';
import { folderListing } from '../formats/model-folder.ts';
import { knownModelAt } from './known-models.ts';
import type { HubSource, Listing } from './sources/hub.ts';
import type { Snapshot } from './sources/hub-cache.ts';
import { formatReference, type HubReference } from './sources/hub-reference.ts';
import { gitBlobId } from './sources/source.ts';
import { describeGap, type Selection, selectCompanions, selectFiles } from './store-selection.ts';
import type { FileRecord, ModelKind } from './store-types.ts';

/** Increase this if a snapshot that was found complete might be incomplete under new rules. */
const FORMAT = 1;

export const SNAPSHOT_CACHE = new CacheKind({
  ...{ name: 'snapshots', format: FORMAT, what: 'notes on complete models in the Hugging Face cache', isSmall: true },
});

/** A snapshot, and what is needed from it. */
export interface SnapshotQuestion {
  snapshot: Snapshot;
  reference: HubReference;
  kind: ModelKind | undefined;
  /** The hub at the snapshot's commit; undefined if connections are forbidden. */
  hub: HubSource | undefined;
  /** The home folder of the cache, which contains {@link SNAPSHOT_CACHE}. */
  home: string;
  signal: AbortSignal | undefined;
}

/**
 * Selects the files of a model from a snapshot in the hub's own cache. Programs download into that cache file by file,
 * so a part of a model can look like a complete one. The snapshot is compared with the hub's listing once, and the
 * result is recorded. Without a connection, the snapshot is used only if nothing can be missing.
 * @returns what is missing instead, if the model must be downloaded
 * @throws ModelError if it cannot be determined whether the model is complete
 */
export async function wholeSnapshot(question: SnapshotQuestion): Promise<Selection | { gap: string }> {
  const { snapshot, reference, hub } = question;
  const selection = await selectFiles(folderListing(snapshot.folder, snapshot.names), reference.file).catch(
    (error: unknown) => {
      if (error instanceof LlmQeError) return { gap: error.message };
      throw error;
    },
  );
  const gap = 'gap' in selection ? selection.gap : describeGap(selection);
  if ('gap' in selection || gap !== undefined) return { gap: withBrokenLinks(gap!, snapshot) };
  if (selection.format === 'gguf') return selection;
  const note = join(
    SNAPSHOT_CACHE.folder(question.home),
    `${contentKey({ ...reference, commit: snapshot.commit, files: selection.files }).slice(0, 32)}.json`,
  );
  if (await isNoted(note)) return selection;
  const listing = hub && (await hub.list(question.signal).catch(unlessRefused));
  if (listing === undefined) {
    const doubt = describeDoubt(question);
    if (doubt === undefined) return selection;
    throw doubtful(question, doubt);
  }
  if (!(await isWhole(snapshot, selection, listing))) return { gap: 'files are missing or have another size' };
  await writeDurably(note, `${JSON.stringify({ folder: snapshot.folder })}\n`).catch(() => {});
  return selection;
}

/** Selects the files of a known model; those that it needs are known too. */
export async function pinnedSnapshot(
  snapshot: Snapshot,
  pinned: readonly string[],
): Promise<Selection | { gap: string }> {
  const missing = pinned.find((path) => !snapshot.names.includes(path));
  if (missing !== undefined) return { gap: withBrokenLinks(`${missing} is missing`, snapshot) };
  return { ...(await selectFiles(folderListing(snapshot.folder, pinned))), files: [...pinned] };
}

/** A link of the cache whose file is gone is a likelier reason than any other. */
export function withBrokenLinks(gap: string, { dangling }: Snapshot): string {
  if (dangling.length === 0) return gap;
  const more = dangling.length > 5 ? ` and ${dangling.length - 5} more` : '';
  return `${gap}; broken links: ${dangling.slice(0, 5).join(', ')}${more}`;
}

async function isNoted(note: string): Promise<boolean> {
  return await readFile(note).then(
    () => true,
    () => false,
  );
}

/** An unreachable hub, or one that refuses, proves nothing about the snapshot. */
function unlessRefused(error: unknown): undefined {
  if (error instanceof NetworkError || error instanceof ModelError) return undefined;
  throw error;
}

/** Returns whether every file that the hub lists for the model exists with the listed size. */
async function isWhole({ folder }: Snapshot, { files, modules }: Selection, { siblings }: Listing): Promise<boolean> {
  const wanted = new Set([
    ...selectCompanions(
      siblings.map(({ rfilename }) => rfilename),
      modules,
    ),
    ...files,
  ]);
  for (const name of wanted) {
    const stated = siblings.find(({ rfilename }) => rfilename === name);
    const bytes = await stat(join(folder, name)).then(
      ({ size }) => size,
      () => undefined,
    );
    const expected = stated?.lfs?.size ?? stated?.size;
    if (stated === undefined || bytes === undefined || (expected !== undefined && bytes !== expected)) return false;
  }
  return true;
}

const OF_SENTENCE_TRANSFORMERS = /^(sentence_bert_config\.json|config_sentence_transformers\.json|\d+_[A-Za-z]+\/.*)$/;

/** Describes why files may be missing that only the hub could name; undefined if none can be. */
function describeDoubt({ snapshot, reference, kind }: SnapshotQuestion): string | undefined {
  const { names, absent } = snapshot;
  const listed = knownModelAt(`hf:${reference.repository}`)?.files.find(({ path }) => !names.includes(path))?.path;
  if (knownModelAt(`hf:${reference.repository}`) !== undefined) return listed && `it lacks ${listed}`;
  if (names.includes('modules.json')) return undefined;
  const module = names.find((name) => OF_SENTENCE_TRANSFORMERS.test(name));
  if (module !== undefined) return `it holds ${module} but no modules.json`;
  if (kind !== 'encoder' || absent.includes('modules.json')) return undefined;
  return 'it holds no modules.json, which defines how vectors are pooled; the model may have one';
}

function doubtful({ snapshot, reference }: SnapshotQuestion, doubt: string): ModelError {
  const name = formatReference(reference);
  return new ModelError(`the Hugging Face cache may hold only a part of ${name}: ${doubt}`, {
    file: snapshot.folder,
    fix: `Run the command once with a connection, or \`huggingface-cli download ${reference.repository}\`; to use the folder as it is (mean pooling, not normalised), pass its path.`,
  });
}

/**
 * Checks the files of a snapshot against the names of the blobs that its links point to: SHA-256 for large files, git's
 * blob id for small ones.
 * @returns a description of the damage; undefined if there is none
 */
export async function findBlobFault(folder: string, records: readonly FileRecord[]): Promise<string | undefined> {
  for (const { path, sha256 } of records) {
    const file = join(folder, path);
    if (!(await lstat(file)).isSymbolicLink()) continue;
    const blob = basename(await readlink(file));
    const isGit = /^[0-9a-f]{40}$/.test(blob);
    if (!isGit && !/^[0-9a-f]{64}$/.test(blob)) continue;
    const found = isGit ? await gitBlobId(file) : sha256;
    if (found !== blob) return `${path} of the Hugging Face cache is damaged: its bytes do not match its name ${blob}`;
  }
  return undefined;
}
