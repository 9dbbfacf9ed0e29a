import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  cacheHome,
  ModelError,
  makeFolder,
  type Progress,
  SILENT,
  syncFolder,
  whatForbids,
  withFileLock,
} from '../../system/index.ts';
import { withBrokenLinks } from './snapshot-check.ts';
import { HubSource } from './sources/hub.ts';
import { findSnapshot } from './sources/hub-cache.ts';
import { parseHubReference } from './sources/hub-reference.ts';
import { readHubSettings } from './sources/hub-settings.ts';
import { recordFile } from './sources/source.ts';
import { findSizeFault, MODEL_CACHE, readManifest, writeManifest } from './store-manifest.ts';
import { offlineError, planHub, unknownModel } from './store-plan.ts';

export interface AdapterOptions {
  home?: string | undefined;
  /** See `whatForbids`. */
  offline?: boolean | undefined;
  environment?: NodeJS.ProcessEnv | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** The files that PEFT writes and this program reads. */
const FILES = ['adapter_config.json', 'adapter_model.safetensors'];

/**
 * Returns the path of a LoRA adapter. `hf:owner/name[@revision]` is downloaded into the store, or found in the hub's
 * own cache; anything else is a path already.
 * @throws ModelError if the hub lacks the adapter, or it is not stored and connections are forbidden; NetworkError
 */
export async function resolveAdapter(name: string, options: AdapterOptions = {}): Promise<string> {
  if (!name.startsWith('hf:')) return name;
  const reference = parseHubReference(name);
  if (reference === undefined || reference.file !== undefined) throw unknownModel(name);
  const { environment = process.env, signal, progress = SILENT } = options;
  const plan = planHub(name, reference);
  const place = join(MODEL_CACHE.folder(options.home ?? cacheHome(environment)), `adapter-${plan.folder}`);
  if (await isStored(place)) return place;
  const settings = await readHubSettings(environment);
  const snapshot = await findSnapshot(settings.cache, reference);
  if (snapshot !== undefined && FILES.every((file) => snapshot.names.includes(file))) return snapshot.folder;
  const forbids = whatForbids('downloads', options.offline, environment);
  if (forbids !== undefined) {
    const missing = FILES.find((file) => !snapshot?.names.includes(file));
    throw offlineError(plan, forbids, { gap: snapshot && withBrokenLinks(`${missing} is missing`, snapshot) });
  }
  await makeFolder(dirname(place));
  const fetchOnce = async () => {
    if (await isStored(place)) return;
    const source = new HubSource(settings, reference);
    await refuseOtherRepositories(source, signal);
    const work = `${place}.fetching`;
    await makeFolder(work);
    const wanted = FILES.map((path) => ({ path }));
    const files = await source.fetch({ folder: work, files: wanted, formats: undefined, signal, progress });
    const fetched = new Date().toISOString();
    const manifest = {
      version: 1 as const,
      name,
      source: source.label,
      format: 'safetensors' as const,
      fetched,
      files,
    };
    await writeManifest(work, manifest);
    await rm(place, { recursive: true, force: true });
    await rename(work, place);
    await syncFolder(dirname(place));
  };
  await withFileLock(`${place}.lock`, fetchOnce, { signal, progress, what: `downloads ${name}` });
  return place;
}

/** An adapter is small, so its bytes are checked against the manifest each time. */
async function isStored(place: string): Promise<boolean> {
  const manifest = await readManifest(place);
  if (manifest === undefined || (await findSizeFault(place, manifest)) !== undefined) return false;
  for (const { path, sha256 } of manifest.files) {
    if ((await recordFile(place, path))?.sha256 !== sha256) return false;
  }
  return true;
}

async function refuseOtherRepositories(source: HubSource, signal: AbortSignal | undefined): Promise<void> {
  const names = (await source.list(signal)).siblings.map(({ rfilename }) => rfilename);
  if (FILES.every((file) => names.includes(file))) return;
  const hasConfig = names.includes(FILES[0]!);
  const reason = hasConfig
    ? `${source.label} holds an adapter without ${FILES[1]}${names.includes('adapter_model.bin') ? ' (as adapter_model.bin only)' : ''}`
    : `${source.label} holds no adapter in PEFT's layout (no ${FILES[0]})`;
  const fix = hasConfig
    ? 'Load it with PEFT, save it again (save_pretrained writes safetensors), and pass that folder.'
    : 'Pass the repository of the adapter itself. A complete model is passed as the generator or base.';
  throw new ModelError(reason, { fix });
}
