import type { EmptyBecause } from '../../data/index.ts';
import { DataError } from '../../system/index.ts';
import type { Generator } from '../generator.ts';

/** The field that shows whether a record's text could be written. */
export interface StageRecord {
  emptyBecause?: EmptyBecause | undefined;
}

/** Reasons for which nothing was written, but may be later: a server can get a longer context or another content filter. */
const MAY_CHANGE: readonly (EmptyBecause | undefined)[] = ['promptTooLong', 'contentFilter'];

/** Whether a text must be requested again the next time. */
export function wasNotWritten({ emptyBecause }: StageRecord): boolean {
  return MAY_CHANGE.includes(emptyBecause);
}

/** Counts how many prompts fitted into the context and passed the server's content filter. */
export class PromptFit {
  #tooLong = 0;
  #filtered = 0;
  #fitting = 0;

  count(records: readonly StageRecord[]): void {
    for (const { emptyBecause } of records) {
      if (emptyBecause === 'promptTooLong') this.#tooLong++;
      else if (emptyBecause === 'contentFilter') this.#filtered++;
      else if (emptyBecause !== 'blankQuery') this.#fitting++;
    }
  }

  /** For the manifest. */
  get result(): { promptTooLong?: number; contentFilter?: number } {
    return {
      ...(this.#tooLong > 0 && { promptTooLong: this.#tooLong }),
      ...(this.#filtered > 0 && { contentFilter: this.#filtered }),
    };
  }

  /** @throws DataError if every prompt was too long or refused by the content filter */
  refuseNone({ unit, grows }: { unit: string; grows: boolean }, file: string, generator: Generator): void {
    if (this.#tooLong + this.#filtered === 0 || this.#fitting > 0) return;
    const { id, contextSize } = generator;
    if (this.#filtered > 0) {
      throw new DataError(`no ${unit} were written: the server of ${id} refuses every prompt or withholds every text`, {
        fix: 'Relax the content filter on the server, or use another model.',
      });
    }
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
