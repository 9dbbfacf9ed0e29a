import { Hono } from 'hono';
import type { Progress, ProgressTask } from '../../system/index.ts';
import type { ProgressEvent } from '../shapes/studio.ts';
import { eventStream } from './event-stream.ts';

/** A page is told of a task at most this often; the last state of a task is always told. */
const INTERVAL_MS = 200;

type Listener = (event: ProgressEvent) => void;

/** Tells every open page, and the terminal, of the work that is going on, such as the opening of a model. */
export class ProgressFeed implements Progress {
  readonly #terminal: Progress;
  readonly #listeners = new Set<Listener>();
  readonly #running = new Map<number, ProgressEvent>();
  #tasks = 0;

  constructor(terminal: Progress) {
    this.#terminal = terminal;
  }

  task(label: string, total: number | undefined, unit: string): ProgressTask {
    const shown = this.#terminal.task(label, total, unit);
    const event: ProgressEvent = { id: ++this.#tasks, label, done: 0, total, unit, note: '', ended: false };
    this.#running.set(event.id, event);
    let toldAt = Number.NEGATIVE_INFINITY;
    const change = (part: Partial<ProgressEvent>) => {
      Object.assign(event, part);
      const now = performance.now();
      if (!event.ended && now - toldAt < INTERVAL_MS) return;
      toldAt = now;
      for (const tell of this.#listeners) tell({ ...event });
    };
    change({});
    return {
      advance: (units = 1) => {
        shown.advance(units);
        change({ done: event.done + units });
      },
      skip: (units) => {
        shown.skip(units);
        change({ done: event.done + units });
      },
      note: (note) => {
        shown.note(note);
        change({ note });
      },
      done: (note = event.note) => {
        shown.done(note);
        this.#running.delete(event.id);
        change({ note, ended: true });
      },
    };
  }

  warn(line: string): void {
    this.#terminal.warn?.(line);
  }

  /** `GET /`: the event `running` with all tasks, then a `task` for each change. @param signal of the studio */
  routes(signal: AbortSignal): Hono {
    const app = new Hono();
    app.get('/', (context) =>
      eventStream(context, signal, async (send, gone) => {
        const listener: Listener = (event) => void send('task', event).catch(() => {});
        this.#listeners.add(listener);
        try {
          await send('running', [...this.#running.values()]);
          await new Promise<void>((resolve) => {
            if (gone.aborted) resolve();
            gone.addEventListener('abort', () => resolve(), { once: true });
          });
        } finally {
          this.#listeners.delete(listener);
        }
      }),
    );
    return app;
  }
}
