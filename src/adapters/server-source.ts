import { z } from 'zod';
import { LONGEST_BUDGET_MS, type QueryExpansion } from '../serve/index.ts';
import {
  checkSecret,
  HttpError,
  NetworkError,
  readText,
  request,
  retryAfterSeconds,
  UsageError,
} from '../system/index.ts';
import type { EmbeddedDocuments, EmbeddedQuery, Found, QueryCall, ServerOptions, Source } from './source.ts';

/** Texts and characters of one request; the server takes 2,048 texts and 2 MiB. */
const [MOST_TEXTS, MOST_CHARACTERS] = [256, 400_000];
const TIMEOUT_SECONDS = 60;

const expansionSchema = z
  .object({
    state: z.string(),
    reason: z.string().optional(),
    texts: z.array(z.string()),
    alpha: z.number(),
    tokens: z.number(),
    milliseconds: z.number(),
    gate: z.object({ probability: z.number(), reason: z.string(), milliseconds: z.number() }).optional(),
  })
  // A newer server may have further states.
  .transform((one) => one as QueryExpansion);

const embeddingsSchema = z.object({
  data: z.array(z.object({ embedding: z.string(), expansion: expansionSchema.optional() })),
  usage: z.object({ total_tokens: z.number() }).optional(),
});

const searchSchema = z.object({
  expansion: expansionSchema,
  documents: z.array(z.object({ id: z.string(), score: z.number(), title: z.string().optional(), text: z.string() })),
});

const refusalSchema = z.object({ error: z.object({ message: z.string(), fix: z.string().optional() }) });

/** `llm-qe serve` at an address. It is first called when something is embedded. */
export class ServerSource implements Source {
  readonly model = 'llm-qe';
  readonly #base: string;
  readonly #headers: Record<string, string>;
  readonly #seconds: number;

  /** @throws UsageError if the address or the key is not valid */
  constructor({ server, apiKey, timeoutSeconds = TIMEOUT_SECONDS }: ServerOptions) {
    this.#base = baseOf(server);
    const key = checkSecret(apiKey, 'the API key');
    this.#headers = { 'user-agent': 'llm-qe', ...(key !== undefined && { authorization: `Bearer ${key}` }) };
    this.#seconds = timeoutSeconds;
  }

  async embedQueries(queries: readonly string[], call: QueryCall): Promise<EmbeddedQuery[]> {
    const { rows, tokens } = await this.#embed(queries, { input_type: 'query', ...fieldsOf(call) }, call);
    return rows.map(({ vector, expansion }, at) => {
      // The server counts the tokens of all queries together.
      if (expansion !== undefined) return { vector, expansion, tokens: tokens && (at === 0 ? tokens : 0) };
      throw this.#foreign('embedded a query and does not say how it was expanded');
    });
  }

  async embedDocuments(
    texts: readonly string[],
    call: Pick<QueryCall, 'headers' | 'signal'>,
  ): Promise<EmbeddedDocuments> {
    const vectors: number[][] = [];
    let all: number | undefined;
    for (const batch of batchesOf(texts)) {
      const { rows, tokens } = await this.#embed(batch, { input_type: 'document' }, call);
      vectors.push(...rows.map(({ vector }) => vector));
      if (tokens !== undefined) all = (all ?? 0) + tokens;
    }
    return { vectors, tokens: all };
  }

  search(query: string, index: string | undefined, top: number, call: QueryCall): Promise<Found> {
    return this.#post('/search', { query, index, top, ...fieldsOf(call) }, searchSchema, call);
  }

  async #embed(input: readonly string[], fields: object, call: QueryCall) {
    if (input.length === 0) return { rows: [], tokens: 0 };
    const body = { input, encoding_format: 'base64', ...fields };
    const { data, usage } = await this.#post('/v1/embeddings', body, embeddingsSchema, call);
    if (data.length !== input.length) {
      throw this.#foreign(`sent ${data.length} vectors for ${input.length} texts`);
    }
    const rows = data.map(({ embedding, expansion }) => ({ vector: floatsOf(embedding), expansion }));
    // 0: the encoder does not say.
    return { rows, tokens: usage?.total_tokens || undefined };
  }

  /** @throws HttpError with the server's own words, NetworkError, AbortedError */
  async #post<T>(path: string, body: object, schema: z.ZodType<T>, { headers, signal }: QueryCall): Promise<T> {
    const url = `${this.#base}${path}`;
    const response = await request(url, {
      method: 'POST',
      headers: { ...this.#headers, ...given(headers), 'content-type': 'application/json' },
      ...{ body: JSON.stringify(body), signal, connectTimeoutSeconds: this.#seconds },
    });
    const text = await readText(response, url, { signal, seconds: this.#seconds });
    if (!response.ok) throw this.#refusal(response, text);
    const read = schema.safeParse(parsed(text));
    if (read.success) return read.data;
    throw this.#foreign('answered something that is not an answer of `llm-qe serve`');
  }

  #refusal(response: Response, text: string): HttpError {
    const { error } = refusalSchema.safeParse(parsed(text)).data ?? {};
    const { status, headers } = response;
    const reason = `${this.#shown} answered ${status}${error === undefined ? '' : `: ${error.message}`}`;
    const fix = error?.fix ?? 'Check that `llm-qe serve` listens at this address.';
    return new HttpError(reason, { status, fix, retryAfterSeconds: retryAfterSeconds(headers) });
  }

  #foreign(what: string): NetworkError {
    const fix = 'Check that `llm-qe serve` of this version listens at this address.';
    return new NetworkError(`${this.#shown} ${what}`, { fix });
  }

  /** The address without a password. */
  get #shown(): string {
    return new URL(this.#base).origin;
  }
}

/** The address without `/v1` and slashes at its end. */
function baseOf(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError('server: not the address of an HTTP server', { fix: 'Write it as http://127.0.0.1:8090.' });
  }
  url.search = url.hash = '';
  url.pathname = url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '');
  return url.href.replace(/\/$/, '');
}

/** A budget that is used up is 0, and JSON has no infinity. */
function fieldsOf({ budgetMs, expansions }: QueryCall) {
  const budget = budgetMs === undefined ? undefined : Math.min(Math.max(0, budgetMs), LONGEST_BUDGET_MS);
  return { expansion_budget_ms: budget, expansions };
}

function given(headers: QueryCall['headers'] = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The numbers of a vector that was packed as base64 of 32-bit floats, little-endian. */
function floatsOf(base64: string): number[] {
  const bytes = Buffer.from(base64, 'base64');
  return Array.from({ length: bytes.length >> 2 }, (_none, at) => bytes.readFloatLE(4 * at));
}

function* batchesOf(texts: readonly string[]): Generator<string[]> {
  let [batch, characters]: [string[], number] = [[], 0];
  for (const text of texts) {
    if (batch.length === MOST_TEXTS || (batch.length > 0 && characters + text.length > MOST_CHARACTERS)) {
      yield batch;
      [batch, characters] = [[], 0];
    }
    batch.push(text);
    characters += text.length;
  }
  if (batch.length > 0) yield batch;
}
