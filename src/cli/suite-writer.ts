import { dirname } from 'node:path';
import type { BeirDataset } from '../data/index.ts';
import type { Generator } from '../generate/index.ts';
import { isServerAddress } from '../servers/index.ts';
import type { ExpansionWriter, WritingRequest } from '../suites/index.ts';
import { contentKey, counted, makeFolder } from '../system/index.ts';
import type { CommandContext } from './command.ts';
import { warnOfDefaultWriter } from './default-writer.ts';
import { type ChosenStrategy, chooseStrategy } from './strategy-options.ts';
import { checkExpansion, type ExpansionChoice, openWriterOf, writeExpansions } from './write-expansions.ts';

/** Options that do not decide what is written. */
const IDLE = ['concurrency', 'timeout', 'maxWait', 'offline', 'threads', 'sequences'];

/** Writes the expansions of a benchmark's systems, as `llm-qe expand` does. A language model is opened once for all sets. */
export class SuiteWriter implements ExpansionWriter {
  readonly idleOptions = IDLE;
  readonly #context: Pick<CommandContext, 'signal' | 'progress'>;
  #opened: { key: string; generator: Generator } | undefined;
  #hasWarned = false;

  constructor(context: Pick<CommandContext, 'signal' | 'progress'>) {
    this.#context = context;
  }

  async check(options: Readonly<Record<string, unknown>>): Promise<void> {
    await checkExpansion(options as unknown as ExpansionChoice, 'benchmark');
  }

  async write({ dataset, topics, options, out }: WritingRequest): Promise<void> {
    const given = options as unknown as ExpansionChoice;
    const chosen = await checkExpansion(given, 'benchmark');
    this.#warnOnce(given, dataset);
    await makeFolder(dirname(out));
    const generator = await this.#open(given, chosen);
    const work = { dataset, queries: topics.queries, out };
    const { statistics } = await writeExpansions(given, chosen, generator, work, this.#context);
    if (statistics.shortened === 0) return;
    const prompts = counted(statistics.shortened, 'prompt');
    this.#context.progress.warn?.(`${dataset.name}: ${prompts} held fewer documents than found: raise --context`);
  }

  async close(): Promise<void> {
    await this.#opened?.generator.close();
    this.#opened = undefined;
  }

  /** Warns of the default LLM at the first set that is not the demo's: once, however many sets and systems follow. */
  #warnOnce({ generator, adapter }: ExpansionChoice, dataset: BeirDataset): void {
    if (this.#hasWarned) return;
    const warn = (line: string) => {
      this.#hasWarned = true;
      this.#context.progress.warn?.(line);
    };
    warnOfDefaultWriter({ generator: generator[0]!, adapters: adapter }, dataset, { warn });
  }

  /** A model occupies memory, so another one is opened only after the last is closed. */
  async #open(given: ExpansionChoice, chosen: ChosenStrategy): Promise<Generator> {
    const {
      temperature: _t,
      topP: _p,
      topK: _k,
      samples: _n,
      task: _task,
      prompt: _prompt,
      seed: _seed,
      ...model
    } = given;
    const key = contentKey({ ...model, context: given.context ?? chosen.promptTokens, maxTokens: chosen.maxTokens });
    if (this.#opened?.key === key) return this.#opened.generator;
    await this.close();
    // --threads also applies to the encoder, so a server does not refuse it here.
    const threads = given.generator.some(isServerAddress) ? undefined : given.threads;
    const generator = await openWriterOf({ ...given, threads }, chosen, this.#context);
    this.#opened = { key, generator };
    return generator;
  }
}

/** Texts per query and their token limit. A strategy with several steps writes more than it keeps: that is not counted. */
export function textsOf(options: Readonly<Record<string, unknown>>): {
  texts: number;
  limit: number;
  generator: string;
} {
  const given = options as unknown as ExpansionChoice;
  const { samples, maxTokens } = chooseStrategy(given);
  return { texts: samples, limit: maxTokens, generator: given.generator[0]! };
}
