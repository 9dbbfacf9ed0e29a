import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context as HonoContext } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { TextRole } from '../../embed/index.ts';
import { isAbort, packageVersion } from '../../system/index.ts';
import type { Expander } from '../expander.ts';
import type { ExpandQueryOptions, QueryExpansion } from '../expander-options.ts';
import { asRequestError, failureOf, RequestError, reportFault } from '../request-error.ts';
import { chooseIndex, type Service } from '../service.ts';
import { inSpan } from '../spans.ts';
import type { Environment } from './accompany.ts';
import { LatestOnly } from './latest-only.ts';
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

type App = OpenAPIHono<Environment>;
type Context = HonoContext<Environment>;

/** The address decides the role where a client can say nothing else: one base URL for queries, one for documents. */
const BASES: Readonly<Record<string, TextRole | undefined>> = {
  ...{ '/v1': undefined, '': undefined },
  ...{ '/query/v1': 'query', '/query': 'query' },
  ...{ '/document/v1': 'document', '/document': 'document' },
};

/** Documents of a search that does not say. */
const TOP = 10;

type QueryOptions = Pick<ExpandQueryOptions, 'expansions' | 'budgetMs'>;

/** A text's vector, and how it was expanded if it is a query. */
interface Embedded {
  vector: Float32Array;
  expansion?: QueryExpansion | undefined;
}

/** The routes that expand, embed and search. */
export class Routes {
  readonly #onError: ((error: unknown) => void) | undefined;

  /** @param onError receives what fails when an answer has begun */
  constructor(onError?: (error: unknown) => void) {
    this.#onError = onError;
  }

  add(app: App): void {
    for (const [base, role] of Object.entries(BASES)) this.#addEmbeddings(app, base, role);
    this.#addExpand(app);
    this.#addSearch(app);
    this.#addTei(app);
    this.#addWeaviate(app);
  }

  /** OpenAI's embeddings. */
  #addEmbeddings(app: App, base: string, role: TextRole | undefined): void {
    app.openapi(route(`${base}/embeddings`, embeddingsBody, embeddingsAnswer), async (context) => {
      const body = context.req.valid('json');
      const { expander } = readyService(context);
      const format = body.encoding_format ?? 'float';
      const found = await this.#embed(context, textsOf(body.input), roleOf(body, role), optionsOf(body));
      const data = found.map(({ vector, expansion }, index) => ({
        ...{ object: 'embedding' as const, index },
        embedding: encodeVector(cutVector(vector, body.dimensions), format),
        ...(expansion && { expansion: { ...factsOf(expansion), texts: expansion.texts } }),
      }));
      const tokens = context.get('record').encodedTokens ?? 0;
      const usage = { prompt_tokens: tokens, total_tokens: tokens };
      return context.json({ object: 'list' as const, data, model: body.model ?? expander.encoder.id, usage }, 200);
    });
    app.get(`${base}/models`, (context) => {
      const { id } = readyService(context).expander.encoder;
      const data = [id, `${id}-query`, `${id}-passage`].map((name) => ({ id: name, object: 'model' }));
      return context.json({ object: 'list', data });
    });
  }

  #addExpand(app: App): void {
    app.openapi(route('/expand', expandBody, expandAnswer), async (context) => {
      const { query, stream, ...body } = context.req.valid('json');
      const { expander } = readyService(context);
      const options = { ...optionsOf(body), samples: body.samples ?? undefined, signal: context.req.raw.signal };
      // The answer is a stream of events, which the schema of the other answer does not describe.
      if (stream) return this.#stream(context, expander, query, options) as never;
      const expansion = await expander.expand(query, options);
      context.get('record').expansion(query, expansion);
      return context.json({ query, texts: expansion.texts, ...factsOf(expansion) }, 200);
    });
  }

  #addSearch(app: App): void {
    app.openapi(route('/search', searchBody, searchAnswer), async (context) => {
      const { query, ...body } = context.req.valid('json');
      const { expander, indexes } = readyService(context);
      const index = chooseIndex(indexes, body.index ?? undefined);
      const top = body.top ?? TOP;
      const { signal } = context.req.raw;
      const { firstPass } = index;
      const found = await expander.embedQuery(query, { ...optionsOf(body), firstPass, signal });
      const record = context.get('record');
      record.expansion(query, found);
      record.part('embed', found.embedMilliseconds);
      record.encoded(found.encodedTokens);
      const started = performance.now();
      const documents = await inSpan('search', { attributes: { 'llm_qe.index': index.name, 'llm_qe.top': top } }, () =>
        index.search(found.vector, top, signal),
      );
      record.part('search', performance.now() - started);
      const parts = Object.entries(record.parts).map(([part, time]) => [part, tenths(time)]);
      const milliseconds = { expand: 0, embed: 0, search: 0, ...(Object.fromEntries(parts) as typeof record.parts) };
      const expansion = { query, texts: found.texts, ...factsOf(found) };
      return context.json({ query, index: index.name, expansion, milliseconds, documents }, 200);
    });
  }

  /** The routes of Text Embeddings Inference. */
  #addTei(app: App): void {
    app.openapi(route('/embed', teiBody, z.array(z.array(z.number()))), async (context) => {
      const body = context.req.valid('json');
      const found = await this.#embed(context, body.inputs, roleOf(body), {});
      const vectors = found.map(({ vector }) => Array.from(cutVector(vector, body.dimensions)));
      return context.json(vectors, 200);
    });
    app.get('/info', (context) => {
      const { id, dimensions, settings } = readyService(context).expander.encoder;
      return context.json({ ...settings, model_id: id, dimensions, version: packageVersion() });
    });
  }

  /** The routes that Weaviate's transformers module asks for. */
  #addWeaviate(app: App): void {
    const answer = z.object({ text: z.string(), vector: z.array(z.number()), dim: z.number() });
    app.openapi(route('/vectors', weaviateBody, answer), async (context) => {
      const { text, config } = context.req.valid('json');
      const [{ vector } = { vector: new Float32Array(0) }] = await this.#embed(context, text, roleOf(config ?? {}), {});
      const cut = Array.from(cutVector(vector, config?.dimensions));
      return context.json({ text, vector: cut, dim: cut.length }, 200);
    });
    app.get('/meta', (context) => context.json({ model: readyService(context).expander.encoder.id }));
  }

  async #embed(
    context: Context,
    input: string | readonly string[],
    role: TextRole,
    options: QueryOptions,
  ): Promise<Embedded[]> {
    const { expander } = readyService(context);
    const texts = typeof input === 'string' ? [input] : input;
    const { signal } = context.req.raw;
    if (role === 'query') return refuseZeros(await this.#embedQueries(context, texts, { ...options, signal }));
    const record = context.get('record');
    const started = performance.now();
    const vectors = await expander.embedDocuments(texts, { signal, onTokens: (tokens) => record.encoded(tokens) });
    record.part('embed', performance.now() - started);
    return refuseZeros(rowsOf(vectors, expander.encoder.dimensions).map((vector) => ({ vector })));
  }

  async #embedQueries(context: Context, texts: readonly string[], options: ExpandQueryOptions): Promise<Embedded[]> {
    if (options.expansions !== undefined && texts.length > 1) {
      throw new RequestError(400, 'expansions: there are several queries', { fix: 'Send one query per request.' });
    }
    const { expander } = readyService(context);
    const found = await Promise.all(texts.map((text) => expander.embedQuery(text, options)));
    const record = context.get('record');
    for (const [at, one] of found.entries()) {
      record.expansion(texts[at]!, one);
      record.part('embed', one.embedMilliseconds);
      record.encoded(one.encodedTokens);
    }
    return found.map((one) => ({ vector: one.vector, expansion: one }));
  }

  #stream(context: Context, expander: Expander, query: string, options: ExpandQueryOptions): Response {
    const record = context.get('record');
    let end = (): void => {};
    record.ends = new Promise((resolve) => {
      end = resolve;
    });
    return streamSSE(context, async (stream) => {
      let sent = '';
      const events = new LatestOnly<string[]>(async (texts) => {
        const data = JSON.stringify({ texts });
        if (data === sent) return;
        sent = data;
        await stream.writeSSE({ event: 'texts', data });
      });
      const onTexts = (texts: string[]) => events.push(texts);
      try {
        const expansion = await expander.expand(query, { ...options, onTexts });
        record.expansion(query, expansion);
        await events.end();
        const whole = { query, texts: expansion.texts, ...factsOf(expansion) };
        await stream.writeSSE({ event: 'expansion', data: JSON.stringify(whole) });
      } catch (error) {
        // Nobody listens to a stream whose client left.
        if (isAbort(error)) return;
        reportFault(error, this.#onError);
        const failure = failureOf(asRequestError(error as Error));
        await stream.writeSSE({ event: 'error', data: JSON.stringify(failure) });
      } finally {
        end();
      }
    });
  }
}

/** @throws RequestError for a vector of zeros: it has no direction, and stores make NaN of it */
function refuseZeros(embedded: Embedded[]): Embedded[] {
  const at = embedded.findIndex(({ vector }) => vector.every((value) => value === 0));
  if (at < 0) return embedded;
  throw new RequestError(400, `text ${at + 1} of ${embedded.length} is blank, and has no vector`, {
    fix: 'Send texts with words in them.',
  });
}

/** @throws RequestError while the server starts or ends */
export function readyService(context: Context): Service {
  const service = context.get('service');
  if (service !== undefined) return service;
  throw new RequestError(503, 'the server is not ready', { fix: 'Wait until /health answers 200.', retryAfter: 1 });
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

function tenths(milliseconds: number): number {
  return Math.round(10 * milliseconds) / 10;
}

/** Clients write null for what they do not set. */
function optionsOf(body: {
  expansions?: string[] | null | undefined;
  expansion_budget_ms?: number | null | undefined;
}) {
  return { expansions: body.expansions ?? undefined, budgetMs: body.expansion_budget_ms ?? undefined };
}

function factsOf({ state, reason, alpha, tokens, milliseconds, gate }: QueryExpansion) {
  return {
    state,
    ...(reason !== undefined && { reason }),
    alpha,
    tokens,
    milliseconds: tenths(milliseconds),
    ...(gate && { gate }),
  };
}

/** @throws RequestError for token ids */
function textsOf(input: z.output<typeof embeddingsBody>['input']): string | string[] {
  if (typeof input === 'string') return input;
  const texts = input.filter((one) => typeof one === 'string');
  if (texts.length === input.length && texts.length > 0) return texts;
  throw new RequestError(
    400,
    'input: token ids are not read, texts are (LangChain for Python: check_embedding_ctx_length=False)',
    {
      fix: 'Send texts. In LangChain for Python, pass check_embedding_ctx_length=False to OpenAIEmbeddings.',
    },
  );
}
