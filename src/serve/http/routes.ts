import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { TextRole } from '../../embed/index.ts';
import { isAbort, packageVersion } from '../../system/index.ts';
import type { Expander } from '../expander.ts';
import type { ExpandQueryOptions, QueryExpansion } from '../expander-options.ts';
import type { ServedIndex } from '../served-index.ts';
import type { Metrics } from './metrics.ts';
import { RequestError } from './request-error.ts';
import { roleOf } from './roles.ts';
import {
  embeddingsAnswer,
  embeddingsBody,
  expandAnswer,
  expandBody,
  failure,
  searchAnswer,
  searchBody,
  teiBody,
  weaviateBody,
} from './schemas.ts';
import { cutVector, encodeVector, rowsOf } from './vectors.ts';

/** What requests are answered with. */
export interface Service {
  expander: Expander;
  /** By name. */
  indexes: ReadonlyMap<string, ServedIndex>;
}

/** The address decides the role where a client can say nothing else: one base URL for queries, one for documents. */
const BASES: Readonly<Record<string, TextRole | undefined>> = {
  ...{ '/v1': undefined, '': undefined },
  ...{ '/query/v1': 'query', '/query': 'query' },
  ...{ '/document/v1': 'document', '/document': 'document' },
};

type QueryOptions = Pick<ExpandQueryOptions, 'expansions' | 'budgetMs'>;

/** A text's vector, and how it was expanded if it is a query. */
interface Embedded {
  vector: Float32Array;
  expansion?: QueryExpansion | undefined;
}

/** The routes that expand, embed and search. */
export class Routes {
  readonly #service: () => Service | undefined;
  readonly #metrics: Metrics;

  constructor(service: () => Service | undefined, metrics: Metrics) {
    [this.#service, this.#metrics] = [service, metrics];
  }

  add(app: OpenAPIHono): void {
    for (const [base, role] of Object.entries(BASES)) this.#addEmbeddings(app, base, role);
    this.#addExpand(app);
    this.#addSearch(app);
    this.#addTei(app);
    this.#addWeaviate(app);
  }

  /** OpenAI's embeddings. */
  #addEmbeddings(app: OpenAPIHono, base: string, role: TextRole | undefined): void {
    app.openapi(route(`${base}/embeddings`, embeddingsBody, embeddingsAnswer), async (context) => {
      const body = context.req.valid('json');
      const { expander } = this.#ready();
      const format = body.encoding_format ?? 'float';
      const options = { expansions: body.expansions, budgetMs: body.expansion_budget_ms };
      const found = await this.#embed(context, textsOf(body.input), roleOf(body, role), options);
      const data = found.map(({ vector, expansion }, index) => ({
        ...{ object: 'embedding' as const, index },
        embedding: encodeVector(cutVector(vector, body.dimensions), format),
        ...(expansion && { expansion: factsOf(expansion) }),
      }));
      const usage = { prompt_tokens: 0, total_tokens: 0 };
      return context.json({ object: 'list' as const, data, model: body.model ?? expander.encoder.id, usage }, 200);
    });
    app.get(`${base}/models`, (context) => {
      const { id } = this.#ready().expander.encoder;
      const data = [id, `${id}-query`, `${id}-passage`].map((name) => ({ id: name, object: 'model' }));
      return context.json({ object: 'list', data });
    });
  }

  #addExpand(app: OpenAPIHono): void {
    app.openapi(route('/expand', expandBody, expandAnswer), async (context) => {
      const { query, expansions, stream, expansion_budget_ms: budgetMs } = context.req.valid('json');
      const { expander } = this.#ready();
      const options = { expansions, budgetMs, signal: context.req.raw.signal };
      // The answer is a stream of events, which the schema of the other answer does not describe.
      if (stream) return this.#stream(context, expander, query, options) as never;
      const expansion = await expander.expand(query, options);
      this.#metrics.expansion(expansion);
      say(context, [expansion], { expand: expansion.milliseconds });
      return context.json({ query, texts: expansion.texts, ...factsOf(expansion) }, 200);
    });
  }

  #addSearch(app: OpenAPIHono): void {
    app.openapi(route('/search', searchBody, searchAnswer), async (context) => {
      const { query, index: name, top, expansions, expansion_budget_ms: budgetMs } = context.req.valid('json');
      const { expander, indexes } = this.#ready();
      const index = chooseIndex(indexes, name);
      const { signal } = context.req.raw;
      const { firstPass } = index;
      const found = await expander.embedQuery(query, { expansions, budgetMs, firstPass, signal });
      const started = performance.now();
      const documents = await index.search(found.vector, top, signal);
      const search = performance.now() - started;
      const milliseconds = { expand: found.milliseconds, embed: found.embedMilliseconds, search };
      this.#metrics.expansion(found);
      this.#metrics.part('embed', milliseconds.embed);
      this.#metrics.part('search', search);
      say(context, [found], milliseconds);
      const expansion = { query, texts: found.texts, ...factsOf(found) };
      return context.json({ query, index: index.name, expansion, milliseconds, documents }, 200);
    });
  }

  /** The routes of Text Embeddings Inference. */
  #addTei(app: OpenAPIHono): void {
    app.openapi(route('/embed', teiBody, z.array(z.array(z.number()))), async (context) => {
      const body = context.req.valid('json');
      const found = await this.#embed(context, body.inputs, roleOf(body), {});
      const vectors = found.map(({ vector }) => Array.from(cutVector(vector, body.dimensions)));
      return context.json(vectors, 200);
    });
    app.get('/info', (context) => {
      const { id, dimensions, settings } = this.#ready().expander.encoder;
      return context.json({ ...settings, model_id: id, dimensions, version: packageVersion() });
    });
  }

  /** The routes that Weaviate's transformers module asks for. */
  #addWeaviate(app: OpenAPIHono): void {
    const answer = z.object({ text: z.string(), vector: z.array(z.number()), dim: z.number() });
    app.openapi(route('/vectors', weaviateBody, answer), async (context) => {
      const { text, config } = context.req.valid('json');
      const [{ vector } = { vector: new Float32Array(0) }] = await this.#embed(context, text, roleOf(config ?? {}), {});
      return context.json({ text, vector: Array.from(vector), dim: vector.length }, 200);
    });
    app.get('/meta', (context) => context.json({ model: this.#ready().expander.encoder.id }));
  }

  /** @throws RequestError while the server starts or ends */
  #ready(): Service {
    const service = this.#service();
    if (service !== undefined) return service;
    throw new RequestError(503, 'the server is not ready', { fix: 'Wait until /health answers 200.', retryAfter: 1 });
  }

  async #embed(
    context: Context,
    input: string | readonly string[],
    role: TextRole,
    options: QueryOptions,
  ): Promise<Embedded[]> {
    const { expander } = this.#ready();
    const texts = typeof input === 'string' ? [input] : input;
    const { signal } = context.req.raw;
    if (role === 'query') return this.#embedQueries(context, texts, { ...options, signal });
    const started = performance.now();
    const vectors = await expander.embedDocuments(texts, { signal });
    const embed = performance.now() - started;
    this.#metrics.part('embed', embed);
    say(context, [], { embed });
    return rowsOf(vectors, expander.encoder.dimensions).map((vector) => ({ vector }));
  }

  async #embedQueries(context: Context, texts: readonly string[], options: ExpandQueryOptions): Promise<Embedded[]> {
    if (options.expansions !== undefined && texts.length > 1) {
      throw new RequestError(400, 'expansions: there are several queries', { fix: 'Send one query per request.' });
    }
    const { expander } = this.#ready();
    const found = await Promise.all(texts.map((text) => expander.embedQuery(text, options)));
    for (const one of found) {
      this.#metrics.expansion(one);
      this.#metrics.part('embed', one.embedMilliseconds);
    }
    const expand = Math.max(...found.map(({ milliseconds }) => milliseconds));
    const embed = Math.max(...found.map(({ embedMilliseconds }) => embedMilliseconds));
    say(context, found, { expand, embed });
    return found.map((one) => ({ vector: one.vector, expansion: one }));
  }

  #stream(context: Context, expander: Expander, query: string, options: ExpandQueryOptions): Response {
    return streamSSE(context, async (stream) => {
      let sent = '';
      const onTexts = (texts: string[]) => {
        const data = JSON.stringify({ texts });
        if (data === sent) return;
        sent = data;
        void stream.writeSSE({ event: 'texts', data });
      };
      const expansion = await expander.expand(query, { ...options, onTexts }).catch((error: unknown) => {
        if (!isAbort(error)) throw error;
      });
      // Nobody listens to a stream whose client left.
      if (expansion === undefined) return;
      this.#metrics.expansion(expansion);
      this.#metrics.request('/expand, streamed', 200, expansion.milliseconds);
      const whole = { query, texts: expansion.texts, ...factsOf(expansion) };
      await stream.writeSSE({ event: 'expansion', data: JSON.stringify(whole) });
    });
  }
}

function route<P extends string, B extends z.ZodType, A extends z.ZodType>(path: P, body: B, answer: A) {
  const json = <S extends z.ZodType>(schema: S) => ({ content: { 'application/json': { schema } } });
  const fails = { ...json(failure), description: 'what is wrong, and the fix' };
  return createRoute({
    ...{ method: 'post', path },
    request: { body: { ...json(body), required: true } },
    responses: { 200: { ...json(answer), description: 'the answer' }, 400: fails, 429: fails, 503: fails },
  });
}

function factsOf({ state, reason, alpha, tokens, milliseconds, gate }: QueryExpansion) {
  const rounded = Math.round(10 * milliseconds) / 10;
  return {
    state,
    ...(reason !== undefined && { reason }),
    alpha,
    tokens,
    milliseconds: rounded,
    ...(gate && { gate }),
  };
}

/** @throws RequestError for token ids */
function textsOf(input: z.output<typeof embeddingsBody>['input']): string | string[] {
  if (typeof input === 'string') return input;
  const texts = input.filter((one) => typeof one === 'string');
  if (texts.length === input.length && texts.length > 0) return texts;
  throw new RequestError(400, 'input: token ids are not read, texts are', {
    fix: 'Send texts. In LangChain for Python, pass check_embedding_ctx_length=False to OpenAIEmbeddings.',
  });
}

/** Says in headers how queries were expanded, and how long each part took. */
function say(context: Context, expansions: readonly QueryExpansion[], milliseconds: Record<string, number>): void {
  const states = [...new Set(expansions.map(({ state }) => state))];
  if (states.length > 0) context.header('x-llm-qe-expansion', states.join(', '));
  const reasons = [...new Set(expansions.flatMap(({ reason }) => reason ?? []))];
  if (reasons.length > 0) context.header('x-llm-qe-reason', reasons.join(', '));
  const timing = Object.entries(milliseconds).map(([part, time]) => `${part};dur=${time.toFixed(1)}`);
  context.header('server-timing', timing.join(', '));
}

/** @throws RequestError */
function chooseIndex(indexes: Service['indexes'], name: string | undefined): ServedIndex {
  const names = [...indexes.keys()];
  if (names.length === 0) {
    throw new RequestError(404, 'there is no index', { fix: 'Start the server with --index DIR.' });
  }
  const index = indexes.get(name ?? (names.length === 1 ? names[0]! : ''));
  if (index !== undefined) return index;
  const shown = JSON.stringify(name?.slice(0, 100));
  const reason = name === undefined ? 'index: there are several' : `index: there is no ${shown}`;
  throw new RequestError(400, reason, { fix: `Use one of: ${names.join(', ')}.` });
}
