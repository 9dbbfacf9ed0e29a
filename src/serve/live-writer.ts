import { setMaxListeners } from 'node:events';
import type { Generation, GenerationRequest, Generator } from '../generate/index.ts';
import { AbortedError } from '../system/index.ts';

/** A text that somebody waits for, and the run that writes it. */
interface Waiting {
  run: object;
  resolve(generation: Generation): void;
  reject(reason: unknown): void;
}

/**
 * Lets many callers share one generator. Requests to an embedded LLM join the run in progress and are written side by side; on
 * servers each is a run of its own, so that one that fails does not end the others.
 */
export class LiveWriter {
  readonly #generator: Generator;
  readonly #stop = new AbortController();
  readonly #waiting = new Map<string, Waiting>();
  #open: OpenRequests | undefined;
  #count = 0;

  constructor(generator: Generator) {
    this.#generator = generator;
    setMaxListeners(0, this.#stop.signal);
  }

  /** Number of texts that are being written, or wait for it. */
  get pending(): number {
    return this.#waiting.size;
  }

  /** @param request its id need not be unique */
  write(request: GenerationRequest): Promise<Generation> {
    if (this.#stop.signal.aborted) return Promise.reject(new AbortedError('the writer is closed'));
    const own = { ...request, id: `${this.#count++}` };
    return new Promise((resolve, reject) => {
      const run = this.#generator.isExclusive ? this.#join(own) : [own];
      this.#waiting.set(own.id, { run, resolve, reject });
      if (Array.isArray(run)) void this.#run(run);
    });
  }

  /** Ends all texts with an error. Does not close the generator. */
  close(): void {
    this.#stop.abort();
    this.#open?.end();
    this.#reject(() => true, new AbortedError('the writer was closed'));
  }

  #join(request: GenerationRequest): OpenRequests {
    if (this.#open === undefined) {
      this.#open = new OpenRequests();
      void this.#run(this.#open);
    }
    this.#open.push(request);
    return this.#open;
  }

  async #run(requests: GenerationRequest[] | OpenRequests): Promise<void> {
    let reason: unknown = new AbortedError('the generator ended without a text');
    try {
      for await (const generation of this.#generator.generate(requests, this.#stop.signal)) {
        this.#waiting.get(generation.id)?.resolve(generation);
        this.#waiting.delete(generation.id);
      }
    } catch (error) {
      reason = error;
    }
    if (this.#open === requests) this.#open = undefined;
    this.#reject(({ run }) => run === requests, reason);
  }

  #reject(which: (one: Waiting) => boolean, reason: unknown): void {
    for (const [id, one] of this.#waiting) {
      if (!which(one)) continue;
      this.#waiting.delete(id);
      one.reject(reason);
    }
  }
}

/** Requests that are added while they are read. */
class OpenRequests implements AsyncIterable<GenerationRequest> {
  readonly #requests: GenerationRequest[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(request: GenerationRequest): void {
    this.#requests.push(request);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationRequest> {
    for (;;) {
      const next = this.#requests.shift();
      if (next !== undefined) {
        yield next;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
