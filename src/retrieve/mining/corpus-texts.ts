import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Document, documentText } from '../../data/index.ts';
import { LineIndex } from '../../files/index.ts';
import { makeFolder, systemFault, throwIfAborted } from '../../system/index.ts';
import { textKeyOf } from './text-key.ts';

/** Texts are written in pieces of about this many bytes. */
const PIECE = 1 << 20;

/**
 * The texts of a corpus by number, in a temporary file: memory holds some hundred bytes per document, whatever its length. Documents are
 * numbered in the order of the corpus, as their vectors are.
 */
export class CorpusTexts {
  readonly #file: string;
  readonly #handle: FileHandle;
  readonly #ids: string[] = [];
  readonly #rows = new LineIndex();
  /** Where each text begins; at the end, the length of the file. */
  readonly #starts: number[] = [0];
  readonly #keys: string[] = [];
  /** Key of the text without title, of documents with a title. */
  readonly #bareKeys: (string | undefined)[] = [];

  private constructor(file: string, handle: FileHandle) {
    [this.#file, this.#handle] = [file, handle];
  }

  /**
   * Reads the documents once and copies their texts into a file, which {@link close} removes.
   * @throws ResourceError
   */
  static async open(documents: AsyncIterable<Document>, file: string, signal?: AbortSignal): Promise<CorpusTexts> {
    await makeFolder(dirname(file));
    const handle = await open(file, 'w+').catch((error: unknown) => {
      throw systemFault(error, file);
    });
    const texts = new CorpusTexts(file, handle);
    try {
      let piece: Buffer[] = [];
      let bytes = 0;
      const flush = async () => {
        await handle.appendFile(Buffer.concat(piece));
        piece = [];
        bytes = 0;
      };
      for await (const document of documents) {
        throwIfAborted(signal);
        const text = Buffer.from(texts.#learn(document));
        piece.push(text);
        bytes += text.length;
        texts.#starts.push(texts.#starts.at(-1)! + text.length);
        if (bytes >= PIECE) await flush();
      }
      await flush();
      return texts;
    } catch (error) {
      await texts.close();
      throw systemFault(error, file);
    }
  }

  get size(): number {
    return this.#ids.length;
  }

  id(row: number): string {
    return this.#ids[row]!;
  }

  has(id: string): boolean {
    return this.row(id) !== undefined;
  }

  /** Returns the number of a document of this corpus. */
  row(id: string): number {
    return this.#rows.startsOf(id).find((row) => this.#ids[row] === id)!;
  }

  /** Returns the keys of a document's text, with and without its title. */
  keys(row: number): string[] {
    const bare = this.#bareKeys[row];
    return bare === undefined ? [this.#keys[row]!] : [this.#keys[row]!, bare];
  }

  /** @throws ResourceError */
  async text(row: number): Promise<string> {
    const [start, end] = [this.#starts[row]!, this.#starts[row + 1]!];
    const buffer = Buffer.alloc(end - start);
    await this.#handle.read(buffer, 0, buffer.length, start).catch((error: unknown) => {
      throw systemFault(error, this.#file);
    });
    return buffer.toString('utf8');
  }

  async close(): Promise<void> {
    await this.#handle.close();
    await rm(this.#file, { force: true });
  }

  #learn(document: Document): string {
    const row = this.#ids.push(document.id) - 1;
    const text = documentText(document);
    this.#rows.add(document.id, row);
    this.#keys.push(textKeyOf(text));
    this.#bareKeys.push(document.title === '' ? undefined : textKeyOf(document.text));
    return text;
  }
}
