import { open, rename, rm, stat } from 'node:fs/promises';
import { z } from 'zod';
import { KeyedJournal } from '../../files/index.ts';
import { DataError, isThere, systemFault } from '../../system/index.ts';
import { type WrittenText, writtenTextSchema } from './written-text.ts';

const keptSchema = writtenTextSchema.extend({
  queryId: z.string(),
  /** Key of everything that decides the text. See {@link textKey}. */
  key: z.string(),
});
type KeptText = z.output<typeof keptSchema>;

/** Path of the journal with the texts of unfinished work. */
export function keptTextsFileOf(file: string): string {
  return `${file}.journal`;
}

/**
 * Every text that an LLM wrote for one output, one per line, each under the key of everything that decides it. A text is stored as
 * soon as it is written, so a kill loses only texts that are being written. Whatever is needed later, texts with the same key are
 * taken from here. Only their positions are held in memory.
 */
export class KeptTexts {
  readonly #journal: KeyedJournal<KeptText>;
  /** Whether a query had texts, but none of those that were asked for: they were written with other settings. */
  hasOthers = false;

  private constructor(journal: KeyedJournal<KeptText>) {
    this.#journal = journal;
  }

  /**
   * Opens the journal of an output, or begins one. The process that has it open is the only one that writes this output.
   *
   * @param file the output
   * @param force moves a journal of an earlier version aside instead of refusing it
   * @throws DataError if the journal is broken or was written by an earlier version; ResourceError if another process has it open
   */
  static async open(file: string, { force = false }: { force?: boolean | undefined } = {}): Promise<KeptTexts> {
    const path = keptTextsFileOf(file);
    if (await isOfEarlierVersion(path)) {
      if (!force) throw earlierVersion(path);
      await rename(path, `${path}.earlier`);
    }
    return new KeptTexts(await KeyedJournal.open(path, keptSchema, ({ queryId }) => queryId));
  }

  /**
   * Returns the texts of a query that were written before, by the position of their key.
   * @throws DataError, ResourceError
   */
  async find(queryId: string, keys: readonly string[]): Promise<Map<number, WrittenText>> {
    const found = new Map<number, WrittenText>();
    const places = new Map(keys.map((key, place) => [key, place]));
    const kept = await this.#journal.find(queryId);
    for (const { queryId: _whose, key, ...text } of kept) {
      const place = places.get(key);
      if (place !== undefined) found.set(place, text);
    }
    this.hasOthers ||= kept.length > 0 && found.size === 0;
    return found;
  }

  async keep(queryId: string, key: string, text: WrittenText): Promise<void> {
    await this.#journal.append({ queryId, key, ...text });
  }

  /** Flushes the journal and releases the output. Deletes a journal without texts. */
  async close(): Promise<void> {
    await this.#journal.close();
    const size = await stat(this.#journal.file).then(
      (facts) => facts.size,
      () => undefined,
    );
    if (size === 0) await rm(this.#journal.file, { force: true });
  }

  /** Deletes the journal: call it when the output itself holds all texts. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.#journal.file, { force: true });
  }
}

/** The first bytes of a journal show the layout of its lines. */
const HEAD_BYTES = 1 << 16;

/** Version 0.1.0 wrote lines in another layout, whose keys omit the context, the threads and the device. */
async function isOfEarlierVersion(path: string): Promise<boolean> {
  if (!(await isThere(path))) return false;
  try {
    const handle = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
      const head = buffer.toString('utf8', 0, bytesRead).trimStart();
      return (
        head.startsWith('{"query":') ||
        (head.startsWith('{"queryId":') && !/^\{"queryId":"(?:[^"\\]|\\.)*","key":/.test(head))
      );
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw systemFault(error, path);
  }
}

function earlierVersion(file: string): DataError {
  return new DataError(
    'was written by an earlier version of llm-qe, which did not record the context, threads and device of its texts',
    { file, fix: 'Choose another output (--out), or start again with --force, which moves this file aside.' },
  );
}
