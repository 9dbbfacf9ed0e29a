import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import { isAbort } from '../../system/index.ts';

/** Sends one event; waits while the client reads more slowly than we write. */
export type Send = (event: string, data: unknown) => Promise<void>;

/**
 * Answers with server-sent events. Each event has a name and JSON. The work is told by the signal that nobody listens any more, or
 * that the studio ends. A failure in the middle is sent as the event `failure`, in the form of all failures.
 * @param signal of the studio
 */
export function eventStream(
  context: Context,
  signal: AbortSignal,
  work: (send: Send, signal: AbortSignal) => Promise<void>,
): Response {
  return streamSSE(context, async (stream) => {
    const gone = new AbortController();
    stream.onAbort(() => gone.abort());
    const either = AbortSignal.any([signal, gone.signal]);
    const send: Send = (event, data) => stream.writeSSE({ event, data: JSON.stringify(data) });
    try {
      await work(send, either);
    } catch (error) {
      if (isAbort(error) || gone.signal.aborted) return;
      const { message, fix } = error as { message?: string; fix?: string };
      await send('failure', { error: { message: message ?? String(error), fix: fix ?? 'Try again.' } });
    }
  });
}
