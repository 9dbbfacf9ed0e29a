import { open, stat } from 'node:fs/promises';

const PIECE = 1 << 16;
const LINE_END = 0x0a;
/** More files than any run writes at a time. */
const MOST_FILES = 200;

interface Counted {
  inode: number;
  /** Bytes read. */
  size: number;
  lines: number;
}

/** Counts the lines of files that grow, and reads only what was added since. */
export class LineCounts {
  readonly #known = new Map<string, Counted>();

  /** The number of whole lines; 0 if the file is gone. */
  async of(path: string): Promise<{ lines: number; changedAt: number }> {
    const facts = await stat(path).catch(() => undefined);
    if (facts === undefined) return { lines: 0, changedAt: 0 };
    const known = this.#known.get(path);
    const isSame = known !== undefined && known.inode === facts.ino && known.size <= facts.size;
    const counted = await countFrom(path, isSame ? known : { inode: facts.ino, size: 0, lines: 0 });
    this.#known.delete(path);
    this.#known.set(path, counted);
    if (this.#known.size > MOST_FILES) this.#known.delete(this.#known.keys().next().value!);
    return { lines: counted.lines, changedAt: facts.mtimeMs };
  }
}

async function countFrom(path: string, { inode, size, lines }: Counted): Promise<Counted> {
  const file = await open(path);
  try {
    const piece = Buffer.alloc(PIECE);
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, PIECE, size);
      if (bytesRead === 0) return { inode, size, lines };
      for (let at = piece.indexOf(LINE_END); at >= 0 && at < bytesRead; at = piece.indexOf(LINE_END, at + 1)) lines++;
      size += bytesRead;
    }
  } finally {
    await file.close();
  }
}
