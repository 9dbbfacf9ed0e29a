import type { Progress, ProgressTask } from '../../system/index.ts';
import type { Generation } from '../generator.ts';

/** What one run wrote, and how fast. */
export interface Speed {
  /** 0 if nothing had to be written. */
  seconds: number;
  tokensPerSecond: number;
}

/** Shows the progress of texts and the tokens written per second. */
export class Throughput {
  readonly #task: ProgressTask;
  #startedAt: number | undefined;
  #tokens = 0;
  #seconds = 0;

  constructor(progress: Progress, label: string, total: number, unit: string) {
    this.#task = progress.task(label, total, unit);
  }

  /** Counts texts that existed before. */
  skip(units: number): void {
    if (units > 0) this.#task.skip(units);
  }

  /** Starts the clock. */
  start(): void {
    this.#startedAt = performance.now();
  }

  add({ completionTokens }: Generation): void {
    this.#tokens += completionTokens;
    this.#seconds = (performance.now() - (this.#startedAt ?? performance.now())) / 1000;
    this.#task.note(`${Math.round(this.#tokens / this.#seconds)} tokens/s`);
  }

  /** Counts finished texts. */
  advance(units: number): void {
    this.#task.advance(units);
  }

  done(note?: string): void {
    this.#task.done(note);
  }

  get speed(): Speed {
    if (this.#seconds === 0) return { seconds: 0, tokensPerSecond: 0 };
    return {
      seconds: Number(this.#seconds.toFixed(3)),
      tokensPerSecond: Number((this.#tokens / this.#seconds).toFixed(1)),
    };
  }
}
