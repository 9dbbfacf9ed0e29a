import { setMaxListeners } from 'node:events';
import { context as contexts, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Context, MiddlewareHandler } from 'hono';
import { matchedRoutes } from 'hono/route';
import { packageVersion } from '../../system/index.ts';
import { asRequestError, withoutQuotes } from '../request-error.ts';
import type { Service } from '../service.ts';
import type { Metrics } from './metrics.ts';
import type { RequestLog } from './request-log.ts';
import { RequestRecord } from './request-record.ts';

/** What stands beside each request. */
export interface Environment {
  Variables: { record: RequestRecord; requestId: string; service: Service | undefined };
}

/** Status of a request whose client left, in metrics and log: nobody receives it. */
const CLIENT_LEFT = 499;

export interface AccompanyOptions {
  service: () => Service | undefined;
  metrics: Metrics;
  log: RequestLog | undefined;
  /** Counts the requests that are being answered, streams included. */
  traffic: { inFlight: number };
}

/** Stands around every request: a record, headers, metrics, a line in the log, a span below that of the caller. */
export function accompany({ service, metrics, log, traffic }: AccompanyOptions): MiddlewareHandler<Environment> {
  return async (context, next) => {
    const record = new RequestRecord();
    context.set('record', record);
    // A request that began before the server was told to end is answered.
    context.set('service', service());
    const { signal } = context.req.raw;
    // One request may hold thousands of queries.
    setMaxListeners(0, signal);
    traffic.inFlight++;
    const endSpan = await inRequestSpan(context, record, next);
    for (const [name, value] of Object.entries(record.headers)) context.header(name, value);
    const finish = () => {
      traffic.inFlight--;
      // Of a request that was refused early, the route that it would have reached.
      const route = matchedRoutes(context).at(-1)?.path ?? '/*';
      const status = signal.aborted ? CLIENT_LEFT : context.res.status;
      const milliseconds = performance.now() - record.started;
      metrics.request(route, status, milliseconds);
      metrics.record(record);
      endSpan(route, status);
      const { error } = context;
      const why = status < 400 || error === undefined ? undefined : withoutQuotes(asRequestError(error).message);
      const facts = { id: context.get('requestId'), method: context.req.method, route, status, milliseconds };
      log?.write({ ...facts, error: why, record });
    };
    if (record.ends === undefined) finish();
    else void record.ends.finally(finish);
  };
}

/** Answers a request inside its span. @returns ends the span */
async function inRequestSpan(context: Context<Environment>, record: RequestRecord, next: () => Promise<void>) {
  const { method, raw } = context.req;
  const carrier = Object.fromEntries(raw.headers);
  const parent = propagation.extract(ROOT_CONTEXT, carrier);
  const tracer = trace.getTracer('llm-qe', packageVersion());
  const attributes = { 'http.request.method': method, 'llm_qe.request_id': context.get('requestId') };
  const span = tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
  await contexts.with(trace.setSpan(parent, span), next);
  return (route: string, status: number) => {
    span.updateName(`${method} ${route}`);
    span.setAttributes({ 'http.route': route, 'http.response.status_code': status });
    if (record.expansions.length > 0) {
      span.setAttributes({ 'llm_qe.state': record.states.join(', '), 'llm_qe.tokens': record.writtenTokens });
    }
    if (record.reasons.length > 0) span.setAttribute('llm_qe.reason', record.reasons.join(', '));
    if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  };
}
