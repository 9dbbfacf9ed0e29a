import { appendFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemFault } from '../../system/index.ts';

/** The warnings of a stage. They are kept in its folder, so a resumed stage still has the earlier ones. */
export class StageWarnings {
  readonly #file: string;
  readonly #lines: Set<string>;

  private constructor(file: string, lines: Iterable<string>) {
    this.#file = file;
    this.#lines = new Set(lines);
  }

  /** @param folder folder of the stage */
  static async open(folder: string): Promise<StageWarnings> {
    const file = join(folder, 'warnings.txt');
    try {
      const text = await readFile(file, 'utf8');
      return new StageWarnings(file, text.split('\n').slice(0, -1));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new StageWarnings(file, []);
      throw systemFault(error, file);
    }
  }

  /** The warnings in the order in which they were added, each once. */
  get lines(): string[] {
    return [...this.#lines];
  }

  add(words: string): void {
    const line = words.replaceAll(/\s*\n\s*/g, ' ');
    if (this.#lines.has(line)) return;
    this.#lines.add(line);
    // Synchronous, because the process may be killed right after a warning.
    appendFileSync(this.#file, `${line}\n`);
  }
}
