import type { Generation, GenerationRequest, Generator } from '../generate/index.ts';
import { throwIfAborted } from '../system/index.ts';
import { LiveWriter } from './live-writer.ts';

/**
 * Lets several callers use one generator at the same time. An embedded LLM takes one run after another; here each caller's requests join
 * the run in progress. It is meant for a few requests at a time: all are taken at once.
 */
export class SharedGenerator implements Generator {
  readonly #generator: Generator;
  readonly #writer: LiveWriter;

  /** @param generator is closed with this */
  constructor(generator: Generator) {
    this.#generator = generator;
    this.#writer = new LiveWriter(generator);
  }

  get id(): string {
    return this.#generator.id;
  }

  get fingerprint(): string {
    return this.#generator.fingerprint;
  }

  get contextSize(): number | undefined {
    return this.#generator.contextSize;
  }

  async *generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal?: AbortSignal,
  ): AsyncGenerator<Generation> {
    const open = new Map<string, Promise<Generation>>();
    for await (const request of requests) {
      const signals = [request.until, signal].filter((one) => one !== undefined);
      const until = signals.length === 0 ? undefined : AbortSignal.any(signals);
      const written = this.#writer
        .write({ ...request, until })
        .then((generation) => ({ ...generation, id: request.id }));
      // One that fails while another is awaited is thrown when its turn comes.
      written.catch(() => {});
      open.set(request.id, written);
    }
    while (open.size > 0) {
      const generation = await Promise.race(open.values());
      throwIfAborted(signal);
      open.delete(generation.id);
      yield generation;
    }
  }

  async close(): Promise<void> {
    this.#writer.close();
    await this.#generator.close();
  }
}
