import { setMaxListeners } from 'node:events';
import OpenAI, { APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai';
import PQueue from 'p-queue';
import { z } from 'zod';
import { AbortedError, contentKey, isAbort, NetworkError, UsageError } from '../system/index.ts';
import type { EncodeOptions, Encoder, TextRole } from './encoder.ts';

/** How an embedding server is spoken to. */
export const remoteEncoderSchema = z.strictObject({
  /** Where the API begins ("http://localhost:8000/v1"); several servers of one model share the work. */
  baseUrl: z.union([z.url(), z.array(z.url()).min(1)]),
  /** The server's name of the model. */
  model: z.string().min(1),
  /** Default: the environment's OPENAI_API_KEY, or none. */
  apiKey: z.string().optional(),
  queryPrefix: z.string().default(''),
  documentPrefix: z.string().default(''),
  /** Texts in one request. */
  batchSize: z.int().positive().default(64),
  /** Requests under way at once, for each server. */
  concurrency: z.int().positive().default(4),
  /** Further attempts after a 408, 409, 429, 5xx or a lost connection, at the pace that retry-after asks for. */
  retries: z.int().nonnegative().default(4),
  /** Seconds for one attempt. */
  timeoutSeconds: z.number().positive().default(120),
});
export type RemoteEncoderOptions = z.input<typeof remoteEncoderSchema> & { signal?: AbortSignal | undefined };

const embeddingsSchema = z.object({
  data: z.array(z.object({ index: z.int().nonnegative(), embedding: z.array(z.number()).min(1) })),
});

/**
 * Connects to an OpenAI-compatible embedding server (`POST {baseUrl}/embeddings`; OpenAI, vLLM, llama-server, Ollama,
 * text-embeddings-inference), and asks it for one vector to learn its dimensions.
 * @throws NetworkError where a server cannot be reached or refuses; UsageError on wrong options
 */
export async function connectEncoder(options: RemoteEncoderOptions): Promise<Encoder> {
  const { signal, ...rest } = options;
  const parsed = remoteEncoderSchema.safeParse(rest);
  if (!parsed.success) {
    const why = z.prettifyError(parsed.error).replace(/\s+/g, ' ');
    throw new UsageError(`options of the embedding server: ${why}`, { fix: 'Correct the option.' });
  }
  const servers = [parsed.data.baseUrl].flat().map((url) => new EmbeddingServer(url, parsed.data));
  const [first] = await Promise.all(servers.map((server) => server.embed(['dimensions'], signal)));
  return new RemoteEncoder(parsed.data, servers, first!.length);
}

/** One server, and the requests under way there. */
class EmbeddingServer {
  readonly url: string;
  readonly #client: OpenAI;
  readonly #model: string;
  readonly #queue: PQueue;

  constructor(
    url: string,
    { apiKey, model, concurrency, retries, timeoutSeconds }: z.output<typeof remoteEncoderSchema>,
  ) {
    this.url = url;
    this.#model = model;
    this.#queue = new PQueue({ concurrency });
    this.#client = new OpenAI({
      baseURL: url,
      apiKey: apiKey ?? process.env.OPENAI_API_KEY ?? 'none',
      maxRetries: retries,
      timeout: timeoutSeconds * 1000,
    });
  }

  /** Requests that are under way or wait. */
  get load(): number {
    return this.#queue.size + this.#queue.pending;
  }

  /** Vectors in the order of the texts // [texts, dimensions] */
  async embed(texts: readonly string[], signal: AbortSignal | undefined): Promise<Float32Array> {
    try {
      const answer = await this.#queue.add(() => this.#request(texts, signal), signal && { signal });
      return this.#arrange(answer, texts.length);
    } catch (error) {
      throw this.#fault(error, signal);
    }
  }

  #request(texts: readonly string[], signal: AbortSignal | undefined): Promise<unknown> {
    const body = { model: this.#model, input: [...texts], encoding_format: 'float' as const };
    return this.#client.embeddings.create(body, signal && { signal });
  }

  /** Puts vectors in order by their index; every text must have one, and all one length. */
  #arrange(answer: unknown, texts: number): Float32Array {
    const parsed = embeddingsSchema.safeParse(answer);
    if (!parsed.success) throw this.#broken(z.prettifyError(parsed.error).replace(/\s+/g, ' '));
    const { data } = parsed.data;
    const dimensions = data[0]?.embedding.length ?? 0;
    const distinct = new Set(data.map(({ index }) => index).filter((index) => index < texts));
    if (data.length !== texts || distinct.size !== texts) {
      throw this.#broken(`${data.length} vectors for ${texts} texts, ${distinct.size} of them in their places`);
    }
    const vectors = new Float32Array(texts * dimensions);
    for (const { index, embedding } of data) {
      if (embedding.length !== dimensions) {
        throw this.#broken(`vectors of ${dimensions} and of ${embedding.length} dimensions`);
      }
      vectors.set(embedding, index * dimensions);
    }
    return vectors;
  }

  #broken(what: string): NetworkError {
    const fix = 'Check that the server offers OpenAI-compatible embeddings for this model.';
    return new NetworkError(`${this.url}: the server answered with ${what}`, { fix });
  }

  #fault(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted || error instanceof APIUserAbortError || isAbort(error)) return new AbortedError();
    if (error instanceof APIConnectionTimeoutError) {
      const fix = 'Give it more time, or send smaller batches.';
      return new NetworkError(`${this.url}: the server did not answer in time`, { fix, cause: error });
    }
    if (!(error instanceof APIError)) return error;
    if (error.status === undefined) {
      const fix = 'Check the address, and that the server runs.';
      return new NetworkError(`${this.url}: the server cannot be reached`, { fix, cause: error });
    }
    const fix = FIXES[error.status] ?? 'Read the log of the server.';
    return new NetworkError(`${this.url}: the server refused: ${error.message}`, { fix, cause: error });
  }
}

const FIXES: Record<number, string> = {
  400: 'Check the name of the model, and that no text is longer than the server allows.',
  401: 'Give the right API key (OPENAI_API_KEY).',
  403: 'Give an API key that may use this model.',
  404: 'Check the address (it usually ends in /v1) and the name of the model.',
  413: 'Send smaller batches.',
  429: 'Wait, or send fewer requests at once.',
};

class RemoteEncoder implements Encoder {
  readonly id: string;
  readonly fingerprint: string;
  readonly dimensions: number;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly #options: z.output<typeof remoteEncoderSchema>;
  readonly #servers: EmbeddingServer[];
  readonly #closed = new AbortController();

  constructor(options: z.output<typeof remoteEncoderSchema>, servers: EmbeddingServer[], dimensions: number) {
    const { model, queryPrefix, documentPrefix } = options;
    const urls = servers.map(({ url }) => url).sort();
    this.#options = options;
    this.#servers = servers;
    this.id = model;
    this.dimensions = dimensions;
    this.settings = { model, servers: urls.join(' '), queryPrefix, documentPrefix };
    this.fingerprint = contentKey({ ...this.settings, dimensions });
  }

  async encode(texts: readonly string[], role: TextRole, options: EncodeOptions = {}): Promise<Float32Array> {
    const { batchSize, concurrency } = this.#options;
    const prefix = role === 'query' ? this.#options.queryPrefix : this.#options.documentPrefix;
    const failed = new AbortController();
    const signal = AbortSignal.any([failed.signal, this.#closed.signal, ...(options.signal ? [options.signal] : [])]);
    setMaxListeners(0, signal); // one for each request under way
    const vectors = new Float32Array(texts.length * this.dimensions);
    const queue = new PQueue({ concurrency: concurrency * this.#servers.length });
    const send = async (start: number) => {
      const batch = texts.slice(start, start + batchSize).map((text) => prefix + text || ' '); // an empty text is refused
      vectors.set(await this.#embed(batch, signal), start * this.dimensions);
      options.onTexts?.(batch.length);
    };
    const starts = Array.from({ length: Math.ceil(texts.length / batchSize) }, (_, index) => index * batchSize);
    try {
      await Promise.all(starts.map((start) => queue.add(() => send(start), { signal })));
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

  /** Sends a batch to the server with the least to do. */
  async #embed(batch: readonly string[], signal: AbortSignal): Promise<Float32Array> {
    const server = this.#servers.reduce((least, other) => (other.load < least.load ? other : least));
    const vectors = await server.embed(batch, signal);
    const dimensions = vectors.length / batch.length;
    if (dimensions === this.dimensions) return vectors;
    throw new NetworkError(`${server.url}: vectors of ${dimensions} dimensions, but ${this.dimensions} were expected`, {
      fix: 'Serve the same model at every address.',
    });
  }
}
