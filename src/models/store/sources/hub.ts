import { readFile, rm } from 'node:fs/promises';
import { z } from 'zod';
import {
  ConnectionError,
  download,
  HttpError,
  httpError,
  isInsideFolder,
  ModelError,
  NetworkError,
  placeInside,
  readText,
  refuseStandInFile,
  request,
  withRetries,
} from '../../../system/index.ts';
import { selectFiles } from '../store-selection.ts';
import type { FileRecord, PinnedFile } from '../store-types.ts';
import { formatReference, type HubReference } from './hub-reference.ts';
import type { HubSettings } from './hub-settings.ts';
import { type FetchOrder, gitBlobId, type ModelSource, recordFile, refusal, refuseFormat } from './source.ts';

/** An unreachable hub must not delay the next source for long. */
const CONNECT_TIMEOUT_SECONDS = 5;

/** Unreachable hubs, with reason and time (`performance.now()`). They are not tried again for a while. */
const UNREACHABLE = new Map<string, { reason: string; since: number }>();
/** A run that needs several models waits once; a server that runs for days tries again. */
const UNREACHABLE_SECONDS = 60;

/** The largest repositories list some ten thousand files, of which a model needs a few. */
const LARGEST_LISTING = 16 * 2 ** 20;

const listingSchema = z.object({
  /** The commit of the revision. */
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.number().nonnegative().optional(),
      /** Git's id of the content, or of the pointer if `lfs` is present. */
      blobId: z.string().optional(),
      lfs: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().nonnegative() }).nullish(),
    }),
  ),
});
/** What the hub states about a repository at a commit. */
export type Listing = z.infer<typeof listingSchema>;

/** What the hub states about a file's bytes. */
interface Statement {
  sha256: string | undefined;
  bytes: number | undefined;
  /** Git's blob id, for small files. */
  blobId: string | undefined;
}

/** The Hugging Face hub, or a mirror of it, over its public API. */
export class HubSource implements ModelSource {
  readonly label: string;
  readonly #settings: HubSettings;
  readonly #reference: HubReference;

  constructor(settings: HubSettings, reference: HubReference) {
    this.#settings = settings;
    this.#reference = reference;
    this.label = `the Hugging Face hub (${formatReference(reference)})`;
  }

  /**
   * Downloads files at the current commit of the revision. The hub states a SHA-256 for large files and git's blob id
   * for small ones; both are checked, in addition to the pins.
   */
  async fetch(order: FetchOrder): Promise<FileRecord[]> {
    const listing = await this.list(order.signal);
    const wanted = order.files ?? (await this.#select(listing, order));
    const records: FileRecord[] = [];
    for (const pin of wanted) records.push(await this.#fetchFile(pin, listing, order));
    return records;
  }

  /** Selects the files that the model needs; downloads a shard index to know its shards. */
  async #select(listing: Listing, order: FetchOrder): Promise<PinnedFile[]> {
    const readIndex = async (path: string) => {
      await this.#fetchFile({ path }, listing, order);
      return await readFile(placeInside(order.folder, path), 'utf8');
    };
    const names = listing.siblings.map((file) => file.rfilename);
    const { format, files } = await selectFiles({ place: this.label, names, readIndex }, this.#reference.file);
    refuseFormat(format, order.formats, this.label);
    return files.map((path) => ({ path }));
  }

  /**
   * Lists the repository at its revision, with the commit.
   * @throws NetworkError if the hub is unreachable; ModelError if it refuses, or lists a file outside the repository
   */
  async list(signal: AbortSignal | undefined): Promise<Listing> {
    const { endpoint } = this.#settings;
    const { repository, revision } = this.#reference;
    const known = UNREACHABLE.get(endpoint);
    if (known !== undefined && performance.now() - known.since < UNREACHABLE_SECONDS * 1000) {
      throw this.#unreachable(known.reason);
    }
    UNREACHABLE.delete(endpoint);
    const url = `${endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
    const ask = async () => {
      const options = { headers: this.#headers(), signal, connectTimeoutSeconds: CONNECT_TIMEOUT_SECONDS };
      const response = await request(url, options).catch((error: unknown) => {
        if (!(error instanceof ConnectionError)) throw error;
        UNREACHABLE.set(endpoint, { reason: error.message, since: performance.now() });
        throw this.#unreachable(error.message);
      });
      if (!response.ok) {
        await response.body?.cancel();
        throw this.#explain(httpError(url, response));
      }
      return await readText(response, url, { maxBytes: LARGEST_LISTING, signal });
    };
    const listing = this.#parse(await withRetries(ask, { retries: 3, signal }));
    const hostile = listing.siblings.find((file) => !isInsideFolder(file.rfilename))?.rfilename;
    if (hostile === undefined) return listing;
    const reason = `${this.label} lists a file outside the repository: ${JSON.stringify(hostile.slice(0, 200))}`;
    throw new ModelError(reason, {
      fix: 'Nothing was downloaded. Do not trust this repository or the mirror it came from.',
    });
  }

  #parse(text: string): Listing {
    try {
      return listingSchema.parse(JSON.parse(text));
    } catch (error) {
      const fix = 'Set HF_ENDPOINT to the hub or to a mirror with the same API.';
      throw new NetworkError(`${this.#settings.endpoint} does not answer like the hub`, { fix, cause: error });
    }
  }

  async #fetchFile(pin: PinnedFile, listing: Listing, order: FetchOrder): Promise<FileRecord> {
    const url = this.#urlOf(pin.path, listing.sha);
    const stated = await this.#readStatement(pin.path, url, listing, order.signal);
    const expected = { ...stated, sha256: pin.sha256 ?? stated.sha256, bytes: pin.bytes ?? stated.bytes };
    if (stated.sha256 !== undefined && stated.sha256 !== expected.sha256) {
      throw refusal(`${this.label} states SHA-256 ${stated.sha256} for ${pin.path}, but ${expected.sha256} is pinned`);
    }
    const target = placeInside(order.folder, pin.path);
    const kept = await recordFile(order.folder, pin.path, order.signal);
    if (kept !== undefined && (await isAsStated(kept, target, expected)) === true) return kept;
    const found = await download(url, target, {
      sha256: expected.sha256,
      bytes: expected.bytes,
      headers: this.#headers(),
      signal: order.signal,
      progress: order.progress,
      label: `downloading ${pin.path}`,
      connectTimeoutSeconds: 2 * CONNECT_TIMEOUT_SECONDS,
    }).catch((error: unknown) => {
      throw error instanceof HttpError ? this.#explain(error) : error;
    });
    const record = { path: pin.path, ...found };
    // A mirror that states nothing about a file may answer with an HTML page.
    await refuseStandInFile(target, ModelError).catch(async (error: unknown) => {
      await rm(target, { force: true });
      throw error;
    });
    if ((await isAsStated(record, target, expected)) !== false) return record;
    await rm(target, { force: true });
    throw refusal(`${this.label} sent bytes for ${pin.path} that differ from those it lists`);
  }

  #urlOf(path: string, commit: string): string {
    const escaped = path.split('/').map(encodeURIComponent).join('/');
    return `${this.#settings.endpoint}/${this.#reference.repository}/resolve/${commit}/${escaped}`;
  }

  /** Reads the statement from the listing, or, if a mirror lists only names, from the headers of the file. */
  async #readStatement(path: string, url: string, listing: Listing, signal?: AbortSignal): Promise<Statement> {
    const listed = listing.siblings.find((file) => file.rfilename === path);
    if (listed === undefined) throw refusal(`${this.label} does not hold ${path}`);
    if (listed.lfs) return { sha256: listed.lfs.sha256, bytes: listed.lfs.size, blobId: undefined };
    if (listed.blobId !== undefined) return { sha256: undefined, bytes: listed.size, blobId: listed.blobId };
    const headers = this.#headers();
    const response = await request(url, { method: 'HEAD', headers, signal, redirects: 0 });
    const tag = (response.headers.get('x-linked-etag') ?? response.headers.get('etag') ?? '').replace(/^W\/|"/g, '');
    const isSha256 = /^[0-9a-f]{64}$/.test(tag);
    const isBlobId = /^[0-9a-f]{40}$/.test(tag);
    return { sha256: isSha256 ? tag : undefined, bytes: undefined, blobId: isBlobId ? tag : undefined };
  }

  #headers(): Record<string, string> {
    const { token } = this.#settings;
    return { 'user-agent': 'llm-qe', ...(token !== undefined && { authorization: `Bearer ${token}` }) };
  }

  #unreachable(reason: string): NetworkError {
    return new NetworkError(`${this.label} is not reachable: ${reason}`, {
      fix: 'Check the network, set HF_ENDPOINT to a mirror, or pass local files: `llm-qe models pull NAME --from PATH`.',
    });
  }

  /** Explains a refusal of the hub. */
  #explain(error: HttpError): Error {
    const { repository, revision } = this.#reference;
    const page = `${this.#settings.endpoint}/${repository}`;
    if (error.status === 401 || error.status === 403) {
      const hasToken = this.#settings.token !== undefined;
      const reason = `${this.label} refuses access (${error.status}): the model is gated or private, or does not exist`;
      const fix = hasToken
        ? `Open ${page} with the account of your token, accept the licence there, and make sure the token may read it.`
        : `Accept the licence on ${page}, make an access token in your account's settings, and set HF_TOKEN to it.`;
      return new ModelError(reason, { fix, cause: error });
    }
    if (error.status === 404) {
      const fix = `Check the name and the revision on ${page}.`;
      return new ModelError(`the Hugging Face hub has no ${repository} at revision ${revision}`, {
        fix,
        cause: error,
      });
    }
    return error;
  }
}

/** Returns whether the bytes match; undefined if the hub states nothing to compare them with. */
async function isAsStated(record: FileRecord, file: string, stated: Statement): Promise<boolean | undefined> {
  if (stated.sha256 !== undefined) return record.sha256 === stated.sha256;
  return stated.blobId === undefined ? undefined : (await gitBlobId(file)) === stated.blobId;
}
