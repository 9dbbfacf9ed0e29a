import { type Attributes, type Context, context, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { isAbort, packageVersion } from '../system/index.ts';

export interface SpanSettings {
  attributes?: Attributes;
  /** Default: what is under way. */
  parent?: Context;
  /** Whether it answers a request of another process. */
  isServer?: boolean;
}

/**
 * Does a part of the work inside an OpenTelemetry span. Without an SDK in the process, that costs nothing and records nothing. Spans
 * never hold texts.
 */
export function inSpan<T>(
  name: string,
  { attributes = {}, parent = context.active(), isServer = false }: SpanSettings,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const tracer = trace.getTracer('llm-qe', packageVersion());
  const kind = isServer ? SpanKind.SERVER : SpanKind.INTERNAL;
  return tracer.startActiveSpan(name, { kind, attributes }, parent, async (span) => {
    try {
      return await work(span);
    } catch (error) {
      // The name alone: a message can quote a text.
      const message = error instanceof Error ? error.name : 'error';
      if (isAbort(error)) span.setAttribute('llm_qe.stopped', true);
      else span.setStatus({ code: SpanStatusCode.ERROR, message });
      throw error;
    } finally {
      span.end();
    }
  });
}
