import { useEffect, useRef } from 'preact/hooks';
import type { Failure } from '../../shapes/studio.ts';
import { ApiError, respond } from './request.ts';

type Handlers = Record<string, (data: never) => void>;

/**
 * Follows a stream of events while a component is shown; connects again by itself. Undefined: no stream now. A tab that is not seen
 * lets its connection go: a browser holds six with one server, over all tabs.
 */
export function useEvents(path: string | undefined, handlers: Handlers): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    if (path === undefined) return;
    let source: EventSource | undefined;
    const follow = () => {
      source?.close();
      source = document.hidden ? undefined : connect(path, latest);
    };
    follow();
    document.addEventListener('visibilitychange', follow);
    return () => {
      document.removeEventListener('visibilitychange', follow);
      source?.close();
    };
  }, [path]);
}

function connect(path: string, handlers: { current: Handlers }): EventSource {
  const source = new EventSource(path);
  for (const name of Object.keys(handlers.current)) {
    source.addEventListener(name, (event) => handlers.current[name]?.(JSON.parse(event.data) as never));
  }
  return source;
}

/** An event of {@link stream}. */
export interface StreamEvent<T = unknown> {
  event: string;
  data: T;
}

/**
 * Sends a request and yields the events of its answer, as a text that is being written.
 * @throws ApiError, also for the event `failure`; an AbortError if it was stopped
 */
export async function* stream(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<StreamEvent> {
  const response = await respond('POST', path, body, signal);
  const texts = response.body!.pipeThrough(new TextDecoderStream());
  for await (const block of blocksOf(texts)) {
    const event = parse(block);
    if (event === undefined) continue;
    if (event.event === 'failure') throw new ApiError(500, (event.data as Failure).error);
    yield event;
  }
}

/** An empty line ends an event. */
async function* blocksOf(texts: ReadableStream<string>): AsyncGenerator<string> {
  const reader = texts.getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop()!;
      yield* blocks;
    }
  } finally {
    // Also when the caller leaves its loop early: the server then stops its work.
    await reader.cancel().catch(() => {});
  }
}

function parse(block: string): StreamEvent | undefined {
  const lines = block.split('\n');
  const valuesOf = (field: string) =>
    lines.filter((line) => line.startsWith(`${field}:`)).map((line) => line.slice(field.length + 1).trimStart());
  const data = valuesOf('data');
  if (data.length === 0) return undefined;
  return { event: valuesOf('event')[0] ?? 'message', data: JSON.parse(data.join('\n')) };
}
