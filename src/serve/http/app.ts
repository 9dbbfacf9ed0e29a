import { timingSafeEqual } from 'node:crypto';
import { OpenAPIHono, type z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { isAbort, packageVersion, sha256 } from '../../system/index.ts';
import { Metrics } from './metrics.ts';
import { RequestError } from './request-error.ts';
import { Routes, type Service } from './routes.ts';

export interface AppOptions {
  /** Undefined until everything is open, and when the server ends: then all but /health and /metrics answer 503. */
  service: () => Service | undefined;
  /** Key that clients send as `Authorization: Bearer KEY`. */
  apiKey?: string | undefined;
  /** Most requests at once; others get 429. Default 512. */
  mostRequests?: number | undefined;
  /** Largest body in bytes. Default 2 MiB. */
  largestBody?: number | undefined;
  /** Receives errors that are not the client's. */
  onError?: ((error: unknown) => void) | undefined;
}

const MOST_REQUESTS = 512;
const LARGEST_BODY = 2 * 2 ** 20;
/** Paths that need no key and are never too many: they say nothing of anybody's texts. */
const OPEN = new Set(['/health', '/openapi.json', '/.well-known/live', '/.well-known/ready']);

/** Creates the web application: routes, limits and metrics. */
export function createApp(options: AppOptions): OpenAPIHono {
  const { service, mostRequests = MOST_REQUESTS, largestBody = LARGEST_BODY } = options;
  let inFlight = 0;
  const metrics = new Metrics({
    inFlight: () => inFlight,
    pendingTexts: () => service()?.expander.pendingTexts ?? 0,
    writtenTokens: () => service()?.expander.writtenTokens ?? 0,
  });
  const app = new OpenAPIHono({ defaultHook: refuseInvalid });
  app.use(async (context, next) => {
    const started = performance.now();
    inFlight++;
    try {
      if (inFlight > mostRequests && !OPEN.has(context.req.path)) {
        metrics.refused();
        throw new RequestError(429, 'too many requests', { fix: 'Send it again later.', retryAfter: 1 });
      }
      await next();
    } finally {
      inFlight--;
      metrics.request(context.req.routePath, context.res.status, performance.now() - started);
    }
  });
  app.use(requireKey(options.apiKey));
  const tooLarge = new RequestError(413, `the body is larger than ${largestBody} bytes`, {
    fix: 'Send fewer texts per request.',
  });
  app.use(bodyLimit({ maxSize: largestBody, onError: (context) => refused(context, tooLarge) }));
  app.onError((error, context) => {
    const known = asRequestError(error);
    // A client that left is no fault of the server.
    if (known.status >= 500 && known !== error && !isAbort(error)) options.onError?.(error);
    return refused(context, known);
  });
  app.notFound((context) =>
    refused(context, new RequestError(404, `there is no ${context.req.path}`, { fix: 'See /openapi.json.' })),
  );
  addState(app, service, metrics);
  new Routes(service, metrics).add(app);
  app.doc31('/openapi.json', { openapi: '3.1.0', info: { title: 'llm-qe', version: packageVersion() } });
  return app;
}

function addState(app: OpenAPIHono, service: AppOptions['service'], metrics: Metrics): void {
  app.get('/health', (context) =>
    service() === undefined ? context.json({ status: 'starting' }, 503) : context.json({ status: 'ready' }, 200),
  );
  app.get('/.well-known/ready', (context) => context.body(null, service() === undefined ? 503 : 204));
  app.get('/.well-known/live', (context) => context.body(null, 204));
  app.get('/metrics', async (context) =>
    context.text(await metrics.text(), 200, { 'content-type': metrics.contentType }),
  );
}

function requireKey(key: string | undefined): MiddlewareHandler {
  return async (context, next) => {
    if (key !== undefined && !OPEN.has(context.req.path)) {
      const given = /^Bearer (.+)$/i.exec(context.req.header('authorization') ?? '')?.[1] ?? '';
      // Hashes have one length, and comparing them takes one time.
      if (!timingSafeEqual(Buffer.from(sha256(given)), Buffer.from(sha256(key)))) {
        throw new RequestError(401, 'the key is missing or wrong', {
          fix: 'Send the header Authorization: Bearer KEY.',
        });
      }
    }
    await next();
  };
}

/** Names the first field that does not fit. */
function refuseInvalid(result: { success: boolean; error?: z.ZodError }, context: Context) {
  if (result.success) return undefined;
  const [issue] = result.error!.issues;
  const field = issue!.path.join('.') || 'the body';
  return refused(context, new RequestError(400, `${field}: ${issue!.message}`, { fix: 'See /openapi.json.' }));
}

function asRequestError(error: Error): RequestError {
  if (error instanceof RequestError) return error;
  if (isAbort(error)) return new RequestError(503, 'stopped', { fix: 'Send it again.', retryAfter: 1 });
  if ('status' in error && error.status === 400) {
    const fix = 'Send JSON with the header content-type: application/json.';
    return new RequestError(400, 'the body is not JSON', { fix });
  }
  return new RequestError(502, error.message, {
    fix: 'fix' in error ? String(error.fix) : 'See the log of the server.',
  });
}

function refused(context: Context, { status, message, fix, retryAfter }: RequestError) {
  if (retryAfter !== undefined) context.header('retry-after', `${retryAfter}`);
  const type = status === 429 ? 'rate_limit_error' : status < 500 ? 'invalid_request_error' : 'server_error';
  return context.json({ error: { message, type, fix } }, status);
}
