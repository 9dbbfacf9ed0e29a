import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Llama } from 'node-llama-cpp';
import { forgetFailure, ModelError, refuseIfSlim } from '../../system/index.ts';

/** llama.cpp is loaded once per process for each kind of device. Threads are set for each context. */
const runtimes = new Map<string, Promise<Llama>>();

/**
 * Opens the llama.cpp runtime: the binary that comes with the package. It is never compiled here.
 *
 * @param gpu false computes on the processor; 'auto' uses the best device that the installed binaries support
 * @throws ModelError if no binary runs on this machine
 */
export async function openLlama(gpu: false | 'auto'): Promise<Llama> {
  const key = String(gpu);
  const opened = runtimes.get(key) ?? forgetFailure(load(gpu), () => runtimes.delete(key));
  runtimes.set(key, opened);
  return opened;
}

/** Whoever lacks the runtime should learn it before a model is downloaded for it. @throws ResourceError in a slim install */
export function refuseWithoutLlama(): void {
  const instead = ' Or use a server: --generator http://HOST:PORT, or serve --no-expand.';
  refuseIfSlim('node-llama-cpp', 'the embedded LLM', instead);
}

async function load(gpu: false | 'auto'): Promise<Llama> {
  refuseWithoutLlama();
  const { getLlama, LlamaLogLevel } = await import('node-llama-cpp');
  try {
    return await getLlama({
      build: 'never',
      gpu,
      logLevel: LlamaLogLevel.error,
      logger: (_level, line) => {
        for (const log of logs) log.add(line);
      },
      progressLogs: false,
      maxThreads: availableParallelism(),
    });
  } catch (cause) {
    throw new ModelError(`llama.cpp cannot be loaded here (${firstLine(cause)})`, {
      fix: 'Run `npm install` again with optional dependencies, or use a server: --generator http://HOST:PORT.',
      cause,
    });
  }
}

/** The logs that are listening. */
const logs = new Set<NativeLog>();

/** llama.cpp passes its log lines over from another thread: the last ones arrive shortly after its exception. In milliseconds. */
const LOG_DELAY = 50;
const MOST_LINES = 3;
const LONGEST_LINE = 200;

/** Collects what llama.cpp logs while it is open: only the log gives the reasons for its errors. */
export class NativeLog {
  readonly #lines: string[] = [];

  constructor() {
    logs.add(this);
  }

  add(text: string): void {
    for (const line of text.split('\n')) {
      const clean = line.replace(/^\s*\w+: (?=\S)/, '').trim();
      if (clean === '' || /failed to load model|error loading model$/.test(clean)) continue;
      this.#lines.push(clean.slice(0, LONGEST_LINE));
    }
  }

  /** Returns the first few lines. */
  async last(): Promise<string[]> {
    await sleep(LOG_DELAY);
    return [...new Set(this.#lines)].slice(0, MOST_LINES);
  }

  close(): void {
    logs.delete(this);
  }
}

/** Contexts that run side by side. Each has its own sequences and threads, and none waits for another. */
export interface LanePlan {
  lanes: number;
  sequencesPerLane: number;
  threadsPerLane: number;
}

/** Smaller batches than this lose more speed than a thread of their own gains. */
const SEQUENCES_WORTH_A_LANE = 4;

/** libuv has four threads for native work: a fifth lane would wait for one. */
const MOST_LANES = 4;

/**
 * Divides threads and sequences into lanes. llama.cpp's threads wait for one another after each operation, so one context over all
 * cores stalls whenever the system takes one core away. One context per core does not. A deterministic lane has one thread and one
 * sequence: nothing but the request itself can then change its numbers.
 */
export function planLanes(o: { sequences: number; threads: number; deterministic: boolean; gpu: boolean }): LanePlan {
  if (o.gpu) return { lanes: 1, sequencesPerLane: o.deterministic ? 1 : o.sequences, threadsPerLane: o.threads };
  const most = Math.min(o.threads, MOST_LANES);
  if (o.deterministic) return { lanes: Math.min(most, o.sequences), sequencesPerLane: 1, threadsPerLane: 1 };
  const lanes = Math.max(1, Math.min(most, Math.floor(o.sequences / SEQUENCES_WORTH_A_LANE)));
  return {
    lanes,
    sequencesPerLane: Math.ceil(o.sequences / lanes),
    threadsPerLane: Math.max(1, Math.floor(o.threads / lanes)),
  };
}

/** Returns the first line of an error's message. */
export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;
}
