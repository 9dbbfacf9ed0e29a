import type { EmptyBecause } from '../../data/index.ts';
import { DataError } from '../../system/index.ts';
import type { Generator } from '../generator.ts';

/** The field that shows whether a record's prompt fitted into the context. */
export interface StageRecord {
  emptyBecause?: EmptyBecause | undefined;
}

/** Counts how many prompts fitted into the context. */
export class PromptFit {
  #tooLong = 0;
  #fitting = 0;

  count(records: readonly StageRecord[]): void {
    for (const { emptyBecause } of records) {
      if (emptyBecause === 'promptTooLong') this.#tooLong++;
      else if (emptyBecause !== 'blankQuery') this.#fitting++;
    }
  }

  /** For the manifest. */
  get result(): { promptTooLong?: number } {
    return this.#tooLong === 0 ? {} : { promptTooLong: this.#tooLong };
  }

  /** @throws DataError if prompts were too long and none fitted */
  refuseNone({ unit, grows }: { unit: string; grows: boolean }, file: string, generator: Generator): void {
    if (this.#tooLong === 0 || this.#fitting > 0) return;
    const { id, contextSize } = generator;
    const context = contextSize === undefined ? '' : ` (${contextSize} tokens)`;
    const longer =
      contextSize === undefined
        ? `Lower --max-tokens, shorten the queries or serve the model with a longer context.${grows ? ` Then delete ${file} or choose another output.` : ''}`
        : 'Raise --context, or shorten the queries or the prompt.';
    throw new DataError(`no ${unit} were written: every prompt is longer than the context of ${id}${context}`, {
      fix: longer,
    });
  }
}
