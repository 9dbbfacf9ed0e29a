import { OpenAPIHono, type z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import { methodNotAllowed } from 'hono/method-not-allowed';
import { requestId } from 'hono/request-id';
import { plainWords } from '../../files/index.ts';
import { isSameSecret, packageVersion } from '../../system/index.ts';
import type { McpEndpoint } from '../mcp/mcp.ts';
import { asRequestError, failureOf, RequestError, reportFault } from '../request-error.ts';
import type { Service } from '../service.ts';
import { accompany, type Environment } from './accompany.ts';
import { limitBody, refuseOtherEncodings } from './limit-body.ts';
import { Metrics } from './metrics.ts';
import type { RequestLog } from './request-log.ts';
import { Routes, readyService } from './routes.ts';

export interface AppOptions {
  /** Undefined until everything is open, and when the server ends: then all but /health and /metrics answer 503. */
  service: () => Service | undefined;
  /** Key that clients send as `Authorization: Bearer KEY`. */
  apiKey?: string | undefined;
  /** Most requests at once; others get 429. Default 512. */
  mostRequests?: number | undefined;
  /** Largest body in bytes. Default 2 MiB. */
  largestBody?: number | undefined;
  /** Origins whose pages may call the server from a browser; `*`: all. Default: none. */
  cors?: readonly string[] | undefined;
  /** Answers `/mcp`. */
  mcp?: McpEndpoint | undefined;
  /** Receives one entry for each request. */
  log?: RequestLog | undefined;
  /** Receives errors that are not the client's. */
  onError?: ((error: unknown) => void) | undefined;
}

const MOST_REQUESTS = 512;
const LARGEST_BODY = 2 * 2 ** 20;
/** Paths that need no key: they say nothing of anybody's texts. */
const OPEN = new Set(['/health', '/openapi.json', '/.well-known/live', '/.well-known/ready']);
/** Paths that are never too many: a server that is full has to say so. */
const ALWAYS = new Set([...OPEN, '/metrics']);
const MCP_PATH = '/mcp';
/** Headers of answers that pages of other origins may read. */
const TOLD = [
  'x-request-id',
  'x-llm-qe-expansion',
  'x-llm-qe-reason',
  'x-llm-qe-tokens',
  'server-timing',
  'retry-after',
];

/** Clients of these routes read a sentence where OpenAI's read an object. */
const BODIES: Readonly<Record<string, ((error: RequestError) => object) | undefined>> = {
  '/vectors': ({ message, fix }) => ({ error: `${message}. ${fix}` }),
  '/embed': ({ status, message, fix }) => ({
    error: `${message}. ${fix}`,
    error_type: status === 429 ? 'Overloaded' : status < 500 ? 'Validation' : 'Backend',
  }),
};

/** The web application, and what the server below it counts. */
export interface App {
  fetch: OpenAPIHono<Environment>['fetch'];
  metrics: Metrics;
}

/** Creates the web application: routes, limits and metrics. */
export function createApp(options: AppOptions): App {
  const { service, log, mostRequests = MOST_REQUESTS } = options;
  const traffic = { inFlight: 0 };
  const metrics = new Metrics({
    inFlight: () => traffic.inFlight,
    expander: () => service()?.expander,
    droppedLines: () => log?.dropped ?? 0,
  });
  const app = new OpenAPIHono<Environment>({ defaultHook: refuseInvalid });
  app.use(requestId({ limitLength: 128 }));
  app.use(accompany({ service, metrics, log, traffic }));
  if (options.cors !== undefined && options.cors.length > 0) {
    const origin = options.cors.includes('*') ? '*' : [...options.cors];
    app.use(cors({ origin, exposeHeaders: TOLD, allowMethods: ['GET', 'POST', 'HEAD'], maxAge: 600 }));
  }
  app.use(limitRequests(() => traffic.inFlight > mostRequests, metrics));
  app.use(requireKey(options.apiKey));
  app.use(methodNotAllowed({ app, onMethodNotAllowed: refuseMethod }));
  app.use(limitBody(options.largestBody ?? LARGEST_BODY));
  app.use(refuseOtherEncodings((path) => path !== MCP_PATH));
  app.onError((error, context) => {
    reportFault(error, options.onError);
    return refused(context, asRequestError(error));
  });
  app.notFound((context) =>
    refused(
      context,
      new RequestError(404, `there is no ${context.req.path.slice(0, 200)}`, { fix: 'See /openapi.json.' }),
    ),
  );
  addState(app, service, metrics);
  new Routes(options.onError).add(app);
  if (options.mcp !== undefined) addMcp(app, options.mcp, options.onError);
  app.doc31('/openapi.json', { openapi: '3.1.0', info: { title: 'llm-qe', version: packageVersion() } });
  return { fetch: app.fetch, metrics };
}

function addState(app: OpenAPIHono<Environment>, service: AppOptions['service'], metrics: Metrics): void {
  app.get('/health', (context) =>
    service() === undefined
      ? context.json({ status: 'starting or ending' }, 503)
      : context.json({ status: 'ready' }, 200),
  );
  app.get('/.well-known/ready', (context) => context.body(null, service() === undefined ? 503 : 204));
  app.get('/.well-known/live', (context) => context.body(null, 204));
  app.get('/metrics', async (context) =>
    context.text(await metrics.text(), 200, { 'content-type': metrics.contentType }),
  );
}

function addMcp(app: OpenAPIHono<Environment>, mcp: McpEndpoint, onError: AppOptions['onError']): void {
  app.on(['GET', 'POST', 'DELETE'], MCP_PATH, (context) => {
    const service = readyService(context);
    const record = context.get('record');
    const observe = record.expansion.bind(record);
    return mcp.fetch(context.req.raw, { service, observe, onError });
  });
}

function limitRequests(areTooMany: () => boolean, metrics: Metrics): MiddlewareHandler {
  return async (context, next) => {
    if (areTooMany() && !ALWAYS.has(context.req.path)) {
      metrics.refused();
      throw new RequestError(429, 'too many requests', { fix: 'Send it again later.', retryAfter: 1 });
    }
    await next();
  };
}

function requireKey(key: string | undefined): MiddlewareHandler {
  return async (context, next) => {
    if (key !== undefined && !OPEN.has(context.req.path)) {
      const given = /^Bearer (.+)$/i.exec(context.req.header('authorization') ?? '')?.[1] ?? '';
      if (!isSameSecret(given, key)) {
        throw new RequestError(401, 'the key is missing or wrong', {
          fix: 'Send the header Authorization: Bearer KEY.',
        });
      }
    }
    await next();
  };
}

function refuseMethod(context: Context, methods: string[]): Response {
  const allowed = methods.join(', ');
  const { method, path } = context.req;
  context.header('allow', allowed);
  return refused(context, new RequestError(405, `${path} takes no ${method}`, { fix: `Use ${allowed}.` }));
}

/** Names the first field that does not fit. @throws RequestError, so that the log tells it, too */
function refuseInvalid(result: { success: boolean; error?: z.ZodError }): void {
  if (result.success) return;
  const [issue] = result.error!.issues;
  const field = issue!.path.join('.').slice(0, 200) || 'the body';
  throw new RequestError(400, `${field}: ${plainWords(issue!.message)}`, { fix: 'See /openapi.json.' });
}

function refused(context: Context, error: RequestError): Response {
  const { status, retryAfter } = error;
  if (retryAfter !== undefined) context.header('retry-after', `${retryAfter}`);
  return context.json(BODIES[context.req.path]?.(error) ?? failureOf(error), status);
}
