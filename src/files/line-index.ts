import { type FileHandle, open } from 'node:fs/promises';
import { systemFault } from '../system/index.ts';
import { hash64 } from './id-set.ts';

const START_SLOTS = 1 << 10;
const START_LINES = 1 << 12;
const FULLEST = 0.6;

/**
 * The positions of each id's lines in a file: 12 bytes per line and about 30 per id, instead of the lines themselves. Ids are
 * distinguished by 64 bits of hash, so readers must check the id of a line.
 */
export class LineIndex {
  #low = new Uint32Array(START_SLOTS);
  #high = new Uint32Array(START_SLOTS);
  /** By slot: number of the id's last line, plus 1; 0 if it has none. */
  #last = new Uint32Array(START_SLOTS);
  #ids = 0;
  #starts = new Float64Array(START_LINES);
  /** By line: number of the previous line of the same id, plus 1. */
  #before = new Uint32Array(START_LINES);
  #lines = 0;

  /** @param start where the line begins, in bytes */
  add(id: string, start: number): void {
    const [low, high] = hash64(id);
    const slot = this.#find(low, high);
    const isNew = this.#high[slot] === 0;
    if (this.#lines === this.#starts.length) this.#growLines();
    this.#starts[this.#lines] = start;
    this.#before[this.#lines] = this.#last[slot]!;
    this.#lines++;
    [this.#low[slot], this.#high[slot], this.#last[slot]] = [low, high, this.#lines];
    if (isNew && ++this.#ids > FULLEST * this.#low.length) this.#growSlots();
  }

  /** Returns the positions of an id's lines, in the order in which they were added. */
  startsOf(id: string): number[] {
    const starts: number[] = [];
    for (let line = this.#last[this.#find(...hash64(id))]!; line > 0; line = this.#before[line - 1]!) {
      starts.push(this.#starts[line - 1]!);
    }
    return starts.reverse();
  }

  /** Returns the slot that holds the hash, or the free slot for it. A free slot has 0 in its high half. */
  #find(low: number, high: number): number {
    const mask = this.#low.length - 1;
    let slot = low & mask;
    while (this.#high[slot] !== 0 && (this.#low[slot] !== low || this.#high[slot] !== high)) slot = (slot + 1) & mask;
    return slot;
  }

  #growSlots(): void {
    const [low, high, last] = [this.#low, this.#high, this.#last];
    [this.#low, this.#high, this.#last] = [low, high, last].map(({ length }) => new Uint32Array(length * 2)) as [
      Uint32Array<ArrayBuffer>,
      Uint32Array<ArrayBuffer>,
      Uint32Array<ArrayBuffer>,
    ];
    for (let old = 0; old < low.length; old++) {
      if (high[old] === 0) continue;
      const slot = this.#find(low[old]!, high[old]!);
      [this.#low[slot], this.#high[slot], this.#last[slot]] = [low[old]!, high[old]!, last[old]!];
    }
  }

  #growLines(): void {
    const [starts, before] = [this.#starts, this.#before];
    this.#starts = new Float64Array(starts.length * 2);
    this.#before = new Uint32Array(before.length * 2);
    this.#starts.set(starts);
    this.#before.set(before);
  }
}

/** Number of bytes read at once: neighbouring lines cost one call. */
const WINDOW = 1 << 16;
const LINE_END = 0x0a;

/** Reads single lines of a file by their position. */
export class LineReader {
  readonly #file: string;
  #handle: FileHandle | undefined;
  #window = Buffer.alloc(0);
  #start = 0;
  /** The last read that was asked for. They share handle and window, so one begins when the one before has ended. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(file: string) {
    this.#file = file;
  }

  /** Returns the line that begins there, without its end. @throws ResourceError, DataError */
  read(start: number): Promise<string> {
    const line = this.#last.then(() => this.#read(start));
    this.#last = line.catch(() => {});
    return line;
  }

  async #read(start: number): Promise<string> {
    for (let size = WINDOW; ; size *= 4) {
      const from = start - this.#start;
      const end = from >= 0 && from < this.#window.length ? this.#window.indexOf(LINE_END, from) : -1;
      if (end >= 0) return this.#window.toString('utf8', from, end);
      if ((await this.#load(start, size)) < size && !this.#window.includes(LINE_END))
        return this.#window.toString('utf8');
    }
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#handle?.close();
    this.#handle = undefined;
  }

  /** @returns the number of bytes read */
  async #load(start: number, size: number): Promise<number> {
    try {
      this.#handle ??= await open(this.#file, 'r');
      const buffer = Buffer.alloc(size);
      const { bytesRead } = await this.#handle.read(buffer, 0, size, start);
      this.#window = buffer.subarray(0, bytesRead);
      this.#start = start;
      return bytesRead;
    } catch (error) {
      throw systemFault(error, this.#file);
    }
  }
}
