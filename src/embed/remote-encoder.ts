import { setMaxListeners } from 'node:events';
import { z } from 'zod';
import {
  type Ask,
  readEmbeddings,
  readEmbeddingTokens,
  type Server,
  ServerPool,
  serverAddressSchema,
  type Unfit,
} from '../servers/index.ts';
import {
  AbortedError,
  contentKey,
  isAbort,
  LONGEST_WAIT_SECONDS,
  NetworkError,
  type Progress,
  UsageError,
} from '../system/index.ts';
import type { EncodeOptions, Encoder, TextRole } from './encoder.ts';
import { LengthMemory } from './length-memory.ts';
import { familyPrefixes } from './prefixes.ts';
import { cosine, identifyModel, PROBE_CACHE, SAME_MODEL } from './remote-identity.ts';

/** How to connect to an embedding server. */
export const remoteEncoderSchema = z.strictObject({
  /**
   * The base address of the API ("http://localhost:8000/v1"); several servers of one model share the work. `/v1` is
   * added to an address without a path. `user:password@` and keys in the query are sent, but never shown or stored.
   */
  baseUrl: z.union([serverAddressSchema, z.array(serverAddressSchema).min(1)]),
  /** The server's name of the model. */
  model: z.string().min(1),
  /** The API key. Default: OPENAI_API_KEY from the environment, or none. */
  apiKey: z.string().optional(),
  /** A prefix of every query and expansion. Default: the prefix of the model's family, found by its name, or none. */
  queryPrefix: z.string().optional(),
  /** A prefix of every document. Default: as above. */
  documentPrefix: z.string().optional(),
  /** The maximum number of texts per request. A server that accepts fewer is detected and gets fewer from then on. */
  batchSize: z.int().positive().default(64),
  /** The number of concurrent requests per server. */
  concurrency: z.int().positive().default(4),
  /** The number of further attempts after a 408, 409, 429 or 5xx, a lost connection, or an incomplete answer. */
  retries: z.int().nonnegative().default(5),
  /** The time limit of one attempt in seconds, up to the last byte of its answer. */
  timeoutSeconds: z.number().positive().default(120),
  /**
   * The longest wait in seconds that a server may request with `Retry-After`; a longer one ends the work with an error.
   */
  maxWaitSeconds: z.number().nonnegative().default(LONGEST_WAIT_SECONDS),
});
export type RemoteEncoderOptions = z.input<typeof remoteEncoderSchema> & {
  /** Reports waits, and what a server does not accept. */
  progress?: Progress | undefined;
  /** The folder of model probes (see {@link identifyModel}). Default: `encoders` in the cache. */
  cache?: string | undefined;
  signal?: AbortSignal | undefined;
};
type Settings = z.output<typeof remoteEncoderSchema>;

/** Increase this if the same server and text would give other vectors than before. */
export const REMOTE_ENCODER_FORMAT = 1;

/** The text that every model encodes on connection, to find its dimensions and to tell models apart. */
const PROBE = 'dimensions';

/** Enough for 2,048 vectors of 4,096 numbers in JSON. */
const MAX_ANSWER_BYTES = 256 * 2 ** 20;

/** A text that is too long for the server is shortened by a quarter at each attempt, down to a hundredth of it. */
const CUT = 0.75;
const LEAST_SHARE = 0.01;

/**
 * Connects to an OpenAI-compatible embedding server (`POST {baseUrl}/embeddings`; OpenAI, vLLM, llama-server, Ollama,
 * text-embeddings-inference), and requests one vector to find its dimensions.
 *
 * A text that is blank, prefix included, is not sent, because servers refuse it; its vector is zero. A text that is too
 * long for the server is truncated, as by a local encoder.
 *
 * @throws NetworkError if a server cannot be reached or refuses; UsageError if an option is invalid
 */
export async function connectEncoder(options: RemoteEncoderOptions): Promise<Encoder> {
  const { signal, progress, cache = PROBE_CACHE.folder(), ...rest } = options;
  const parsed = remoteEncoderSchema.safeParse(rest);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new UsageError(`embedding server options: ${path.join('.')}: ${message}`, {
      fix: 'Correct the option.',
    });
  }
  const settings = parsed.data;
  const { baseUrl, model, apiKey, timeoutSeconds, retries, maxWaitSeconds } = settings;
  const limits = { timeoutSeconds, retries, maxWaitSeconds, maxBytes: MAX_ANSWER_BYTES };
  const pool = new ServerPool({ baseUrls: [baseUrl].flat(), model, apiKey, ...limits, progress });
  const probes = await Promise.all(pool.servers.map((server) => probe(pool, server, signal)));
  const [first] = probes;
  const other = probes.findIndex((vector) => cosine(vector, first!) < SAME_MODEL);
  if (other >= 0) {
    const [one, two] = [pool.servers[0]!, pool.servers[other]!].map(({ shown }) => shown);
    const reason = `${two} returns other vectors for ${JSON.stringify(model)} than ${one}`;
    throw new NetworkError(reason, { fix: 'Serve the same model at every address.' });
  }
  const prefixes = { ...familyPrefixes([model]), ...given(settings) };
  const decisive = { model, dimensions: first!.length, queryPrefix: prefixes.query, documentPrefix: prefixes.document };
  const weights = await identifyModel(decisive, first!, cache);
  return new RemoteEncoder(pool, settings, prefixes, { ...decisive, weights });
}

function given({ queryPrefix, documentPrefix }: Settings): Partial<Record<TextRole, string>> {
  return {
    ...(queryPrefix !== undefined && { query: queryPrefix }),
    ...(documentPrefix !== undefined && { document: documentPrefix }),
  };
}

async function probe(pool: ServerPool, only: Server, signal: AbortSignal | undefined): Promise<Float32Array> {
  const outcome = await askForVectors(pool, [PROBE], { only, signal });
  if ('answer' in outcome) return outcome.answer;
  throw outcome.error;
}

function askForVectors(
  pool: ServerPool,
  texts: readonly string[],
  {
    dimensions,
    onTokens,
    ...how
  }: { dimensions?: number; onTokens?: ((tokens: number) => void) | undefined } & Pick<
    Ask<unknown>,
    'only' | 'retries' | 'wholeBatch' | 'signal'
  >,
) {
  return pool.ask({
    body: ({ leftOut, oneText }) => ({
      model: pool.model,
      input: oneText && texts.length === 1 ? texts[0] : texts,
      ...(!leftOut.has('encoding_format') && { encoding_format: 'float' }),
    }),
    call: ({ client }, body) =>
      client.post('/embeddings', body, how.signal, (answer) => {
        const vectors = readEmbeddings(answer, texts, dimensions);
        const tokens = readEmbeddingTokens(answer);
        if (tokens !== undefined) onTokens?.(tokens);
        return vectors;
      }),
    inputs: texts.length,
    ...how,
  });
}

/** A text to send, and the row of its vector. */
interface Row {
  row: number;
  text: string;
}

/** What becomes of an answer. */
interface Sink {
  signal: AbortSignal;
  store(batch: readonly Row[], found: Float32Array): void;
  onTokens: EncodeOptions['onTokens'];
}

/** Shares the tokens of a call among its texts by their lengths; the shares are whole, and sum up to the tokens. */
function shareTokens(batch: readonly Row[], tokens: number, onTokens: NonNullable<EncodeOptions['onTokens']>): void {
  const total = batch.reduce((sum, { text }) => sum + text.length, 0);
  let [length, given] = [0, 0];
  for (const { row, text } of batch) {
    length += text.length;
    const share = Math.round((tokens * length) / total) - given;
    given += share;
    onTokens(row, share);
  }
}

class RemoteEncoder implements Encoder {
  readonly id: string;
  readonly fingerprint: string;
  readonly dimensions: number;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly #pool: ServerPool;
  readonly #prefixes: Record<TextRole, string>;
  readonly #workers: number;
  /** The number of texts per request; reduced once a server has refused so many. */
  #batchSize: number;
  readonly #lengths = new LengthMemory();
  /** How often a smaller batch was accepted in place of one that failed without an explanation. */
  #guesses = 0;
  readonly #closed = new AbortController();

  /** @param decisive everything except the text that decides a vector; the server's address does not count */
  constructor(
    pool: ServerPool,
    { model, batchSize, concurrency }: Settings,
    prefixes: Record<TextRole, string>,
    decisive: { dimensions: number; weights: string },
  ) {
    this.#pool = pool;
    this.#prefixes = prefixes;
    this.#workers = concurrency * pool.servers.length;
    this.#batchSize = batchSize;
    this.id = model;
    this.dimensions = decisive.dimensions;
    const servers = pool.servers.map(({ shown }) => shown).sort();
    const { query: queryPrefix, document: documentPrefix } = prefixes;
    this.settings = { model, servers: servers.join(' '), queryPrefix, documentPrefix };
    this.fingerprint = contentKey({ runtime: 'server', format: REMOTE_ENCODER_FORMAT, ...decisive });
  }

  async encode(texts: readonly string[], role: TextRole, options: EncodeOptions = {}): Promise<Float32Array> {
    const failed = new AbortController();
    const signal = AbortSignal.any([failed.signal, this.#closed.signal, ...(options.signal ? [options.signal] : [])]);
    setMaxListeners(0, signal); // one per running request
    const vectors = new Float32Array(texts.length * this.dimensions);
    const rows = texts.map((text, row) => ({ row, text: this.#prefixes[role] + text }));
    const sent = rows.filter(({ text }) => text.trim() !== '');
    if (sent.length < rows.length) options.onTexts?.(rows.length - sent.length);
    const store: Sink['store'] = (batch, found) => {
      batch.forEach(({ row }, place) => {
        vectors.set(found.subarray(place * this.dimensions, (place + 1) * this.dimensions), row * this.dimensions);
      });
      options.onTexts?.(batch.length);
    };
    const sink: Sink = { signal, store, onTokens: options.onTokens };
    this.#pool.begin();
    const work = async () => {
      while (sent.length > 0 && !signal.aborted) await this.#embed(sent.splice(0, this.#batchSize), sink);
    };
    try {
      await Promise.all(Array.from({ length: this.#workers }, work));
      if (signal.aborted) throw new AbortedError();
    } catch (error) {
      throw isAbort(error) || signal.aborted ? new AbortedError() : error;
    } finally {
      failed.abort();
    }
    return vectors;
  }

  async close(): Promise<void> {
    this.#closed.abort();
  }

  /** Embeds a batch; splits one that is too large for the server. Returns whether the server accepted it whole. */
  async #embed(batch: readonly Row[], sink: Sink): Promise<boolean> {
    const { signal, onTokens } = sink;
    const tell = onTokens && ((tokens: number) => shareTokens(batch, tokens, onTokens));
    if (batch.length === 1) {
      const { vector, cut } = await this.#embedOne(batch[0]!.text, signal, tell);
      sink.store(batch, vector);
      return !cut;
    }
    const texts = batch.map(({ text }) => this.#cut(text, this.#lengths.lengthFor(text.length)));
    const outcome = await this.#askForBatch(texts, signal, tell);
    if ('answer' in outcome) {
      sink.store(batch, outcome.answer);
      batch.forEach(({ text }, place) => {
        if (texts[place] === text) this.#lengths.tookWhole(text.length);
      });
      return true;
    }
    const stated = outcome.kind === 'tooMany' ? outcome.most : undefined;
    const size = Math.min(stated ?? Math.ceil(batch.length / 2), batch.length - 1);
    if (stated !== undefined) this.#batchSize = Math.min(this.#batchSize, size);
    let partsWereTaken = true;
    for (let rest = batch; rest.length > 0; ) {
      const part = rest.slice(0, Math.min(size, this.#batchSize));
      rest = rest.slice(part.length);
      if (!(await this.#embed(part, sink))) partsWereTaken = false;
    }
    // Only their number was too large then, and no single text among them.
    if (partsWereTaken && this.#isCertain(outcome)) this.#batchSize = Math.min(this.#batchSize, size);
    return false;
  }

  /** A batch that fails repeatedly without an explanation is too large if a single text of it is accepted meanwhile. */
  async #askForBatch(texts: readonly string[], signal: AbortSignal, onTokens?: (tokens: number) => void) {
    const { dimensions } = this;
    const outcome = await askForVectors(this.#pool, texts, { dimensions, signal, onTokens });
    if (!('kind' in outcome) || outcome.kind !== 'tooMany' || !outcome.isGuess) return outcome;
    try {
      await askForVectors(this.#pool, texts.slice(0, 1), { dimensions, signal, retries: 0 });
      return outcome;
    } catch (error) {
      if (isAbort(error)) throw error;
      return askForVectors(this.#pool, texts, { dimensions, signal, onTokens, wholeBatch: true });
    }
  }

  /** Whether a refusal shows that a batch is too large. A guess must come true twice: a server may have been down for a while. */
  #isCertain(outcome: Unfit): boolean {
    return outcome.kind !== 'tooMany' || !outcome.isGuess || ++this.#guesses >= 2;
  }

  #cut(text: string, length: number): string {
    if (length >= text.length) return text;
    this.#pool.tell(`${this.id}: texts that are longer than its server accepts are truncated`);
    return text.slice(0, length).replace(/[\uD800-\uDBFF]$/, '');
  }

  /** Embeds a single text; truncates one that is too long for the server. */
  async #embedOne(
    text: string,
    signal: AbortSignal,
    onTokens?: (tokens: number) => void,
  ): Promise<{ vector: Float32Array; cut: boolean }> {
    let length = this.#lengths.lengthFor(text.length);
    for (let refused: number | undefined; ; refused = length, length *= CUT) {
      const sent = this.#cut(text, Math.ceil(length));
      const outcome = await askForVectors(this.#pool, [sent], { dimensions: this.dimensions, signal, onTokens });
      if ('answer' in outcome) {
        if (sent === text) this.#lengths.tookWhole(text.length);
        else if (refused !== undefined) this.#lengths.tookCut(refused, sent.length);
        return { vector: outcome.answer, cut: sent !== text };
      }
      if (length < text.length * LEAST_SHARE) throw outcome.error;
    }
  }
}
