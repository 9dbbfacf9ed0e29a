/** One counted piece of work in progress. */
export interface ProgressTask {
  /** Adds finished units. */
  advance(units?: number): void;
  /** Counts units that were finished before. They are done, but do not count for the speed. */
  skip(units: number): void;
  /** Replaces the short note after the numbers. */
  note(text: string): void;
  /** Ends the task; the last state stays visible. */
  done(note?: string): void;
}

/** Receives the progress of long work. The command line draws it; a library caller may ignore it. */
export interface Progress {
  /**
   * Starts a task.
   * @param label what is being done, in a few words with a gerund ("encoding documents")
   * @param total number of units in total; undefined if it is not known
   * @param unit what one unit is, in the plural ("texts", "bytes", "tokens")
   */
  task(label: string, total: number | undefined, unit: string): ProgressTask;
  /** Prints a message that the user should know, on a line that stays. */
  warn?(line: string): void;
}

const SILENT_TASK: ProgressTask = { advance() {}, skip() {}, note() {}, done() {} };

/** Discards all progress. */
export const SILENT: Progress = { task: () => SILENT_TASK };
