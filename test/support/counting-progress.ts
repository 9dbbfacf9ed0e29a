import type { Progress } from '../../src/system/index.ts';

/** Counts what a progress is told: what was done, and what was there before. */
export class CountingProgress implements Progress {
  done = 0;
  skipped = 0;
  /** Called after each step. */
  onDone: () => void = () => {};

  task(): ReturnType<Progress['task']> {
    return {
      advance: (count = 1) => {
        this.done += count;
        this.onDone();
      },
      skip: (count = 1) => {
        this.skipped += count;
      },
      note: () => {},
      done: () => {},
    };
  }
}
