import { dirname } from 'node:path';
import { expandQueries, type Generator } from '../generate/index.ts';
import { isServerAddress } from '../servers/index.ts';
import type { ExpansionWriter, WritingRequest } from '../suites/index.ts';
import { contentKey, makeFolder } from '../system/index.ts';
import type { CommandContext } from './command.ts';
import { choosePrompt, type GeneratorChoice, openGenerator, refuseDocuments, samplingOf } from './open-generator.ts';

/** Options that do not decide what is written. */
const IDLE = ['concurrency', 'timeout', 'maxWait', 'offline', 'threads', 'sequences'];

/** Writes the expansions of a benchmark's systems, as `llm-qe expand` does. A language model is opened once for all sets. */
export class SuiteWriter implements ExpansionWriter {
  readonly idleOptions = IDLE;
  readonly #context: Pick<CommandContext, 'signal' | 'progress'>;
  readonly #opened = new Map<string, Generator>();

  constructor(context: Pick<CommandContext, 'signal' | 'progress'>) {
    this.#context = context;
  }

  async write({ topics, options, out }: WritingRequest): Promise<void> {
    const given = options as GeneratorChoice;
    const prompt = await choosePrompt(given);
    refuseDocuments(prompt, 'benchmark');
    await makeFolder(dirname(out));
    await expandQueries({
      ...{
        queries: topics.queries,
        prompt,
        sampling: samplingOf(given),
        samples: given.samples,
        seed: given.seed,
        out,
      },
      ...{ generator: await this.#open(given), timings: !given.deterministic, ...this.#context },
    });
  }

  async close(): Promise<void> {
    for (const generator of this.#opened.values()) await generator.close();
  }

  /** A model occupies memory, so another one is opened only after the last is closed. */
  async #open(given: GeneratorChoice): Promise<Generator> {
    const { temperature: _temperature, samples: _samples, task: _task, prompt: _prompt, seed: _seed, ...model } = given;
    const key = contentKey(model);
    const known = this.#opened.get(key);
    if (known !== undefined) return known;
    await this.close();
    this.#opened.clear();
    // --threads also applies to the encoder, so a server does not refuse it here.
    const threads = given.generator.some(isServerAddress) ? undefined : given.threads;
    const generator = await openGenerator({ ...given, threads }, this.#context, { isTimed: true });
    this.#opened.set(key, generator);
    return generator;
  }
}
