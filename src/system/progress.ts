/** One counted piece of work in progress. */
export interface ProgressTask {
  /** Adds finished units. */
  advance(units?: number): void;
  /** Counts units that were finished before: they are done, but say nothing of the speed. */
  skip(units: number): void;
  /** Replaces the short note behind the numbers. */
  note(text: string): void;
  /** Ends the task; the last state stays visible. */
  done(note?: string): void;
}

/** Where long work reports how far it is. The command line draws it; a library caller may ignore it. */
export interface Progress {
  /**
   * @param label what is being done, as a few words in the gerund ("encoding documents")
   * @param total number of units in all, or undefined where it is not known
   * @param unit what one unit is, in the plural ("texts", "bytes", "tokens")
   */
  task(label: string, total: number | undefined, unit: string): ProgressTask;
  /** Says something that the user should know, in one line that stays. */
  warn?(line: string): void;
}

const SILENT_TASK: ProgressTask = { advance() {}, skip() {}, note() {}, done() {} };

/** Reports to nobody. */
export const SILENT: Progress = { task: () => SILENT_TASK };
