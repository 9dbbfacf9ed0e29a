import { rm } from 'node:fs/promises';
import { z } from 'zod';
import { Journal } from '../../files/index.ts';
import type { AcceptedText } from './groups.ts';

const textSchema = z.object({
  queryId: z.string(),
  /** Of its request among those of the query. */
  place: z.number().int().nonnegative(),
  attempts: z.number().int().positive(),
  text: z.string(),
  finish: z.enum(['stop', 'length']),
  promptTokens: z.number(),
  completionTokens: z.number(),
  milliseconds: z.number(),
  promptCut: z.boolean().optional(),
});
type KeptText = z.output<typeof textSchema>;

/** Where the texts of unfinished queries stand. */
export function keptTextsFileOf(file: string): string {
  return `${file}.journal`;
}

/**
 * Finished texts of unfinished queries, one a line. A file of records grows by whole queries, in their order; a text is kept
 * here as soon as it is there, so that a kill loses only those that are being written.
 */
export class KeptTexts {
  readonly #journal: Journal<KeptText>;
  readonly #found: Map<string, Map<number, AcceptedText>>;

  private constructor(journal: Journal<KeptText>, found: Map<string, Map<number, AcceptedText>>) {
    this.#journal = journal;
    this.#found = found;
  }

  /**
   * @param file the file of records
   * @param isFinished whether the file of records holds the query, so that its texts are needed no more
   */
  static async open(file: string, isFinished: (queryId: string) => boolean): Promise<KeptTexts> {
    const found = new Map<string, Map<number, AcceptedText>>();
    const journal = await Journal.open(keptTextsFileOf(file), textSchema, {
      keyOf: ({ queryId }) => queryId,
      isWhole: () => true,
      onGroup: ([line]) => {
        const { queryId, place, attempts, ...generation } = line!;
        if (isFinished(queryId)) return;
        const ofQuery = found.get(queryId) ?? new Map<number, AcceptedText>();
        found.set(queryId, ofQuery.set(place, { generation: { id: `${queryId} ${place}`, ...generation }, attempts }));
      },
    });
    return new KeptTexts(journal, found);
  }

  /** Texts that were found and not taken yet. */
  get count(): number {
    return [...this.#found.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Gives a query's texts from before away, by place; undefined where there are none. */
  take(queryId: string): ReadonlyMap<number, AcceptedText> | undefined {
    const texts = this.#found.get(queryId);
    this.#found.delete(queryId);
    return texts;
  }

  async keep(queryId: string, place: number, { generation, attempts }: AcceptedText): Promise<void> {
    const { id: _ofTheRun, ...rest } = generation;
    await this.#journal.append({ queryId, place, attempts, ...rest });
  }

  async close(): Promise<void> {
    await this.#journal.close();
  }

  /** When all queries are finished. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.#journal.file, { force: true });
  }
}
