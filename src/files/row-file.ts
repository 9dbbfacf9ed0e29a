import { DurableFile } from '../system/index.ts';

/** Text is written to the file in pieces of about this many characters. */
const WRITE_PIECE = 1 << 18;

/** A JSONL file that appears under its name only when it is committed; several may grow side by side. */
export class RowFile {
  readonly #file: DurableFile;
  #piece = '';
  rows = 0;

  private constructor(file: DurableFile) {
    this.#file = file;
  }

  static async create(path: string): Promise<RowFile> {
    return new RowFile(await DurableFile.create(path));
  }

  /** Appends one row: JSON without a line end. */
  async write(row: string): Promise<void> {
    this.#piece += `${row}\n`;
    this.rows++;
    if (this.#piece.length >= WRITE_PIECE) await this.#flush();
  }

  async commit(): Promise<void> {
    await this.#flush();
    await this.#file.commit();
  }

  async discard(): Promise<void> {
    await this.#file.discard();
  }

  async #flush(): Promise<void> {
    // Taken first: rows may arrive while the piece is being written.
    const piece = this.#piece;
    this.#piece = '';
    await this.#file.write(piece);
  }
}
