/** Bits of an entry. */
const ENTRY_BITS = 32;

/**
 * The postings of all terms. A posting is the number of a document and that of a saturation (see `SaturationTable`). Both share 32
 * bits where they fit, so that a search reads one array: a fifth faster, and a third smaller, than two.
 */
export interface PostingEntries {
  /** Document << bits | saturation; the order within a term changes no score // [postings] */
  entries: Uint32Array;
  /** Bits of the saturation in an entry. */
  bits: number;
  /** The saturations, where entries hold only documents, because a corpus is too large: `bits` is 0 then // [postings] */
  saturations?: Uint16Array | Uint32Array | undefined;
}

/** The sizes that decide how postings are stored. */
export interface PostingSizes {
  postings: number;
  documents: number;
  saturations: number;
}

/** How postings of some sizes are stored: bytes of the saturation of a posting, if it is apart, and bits of it otherwise. */
export function postingLayout({ documents, saturations }: Omit<PostingSizes, 'postings'>) {
  const bits = bitsFor(saturations);
  if (bits + bitsFor(documents) <= ENTRY_BITS && bits < ENTRY_BITS) return { bits, apart: 0 } as const;
  return { bits: 0, apart: saturations > 2 ** 16 ? 4 : 2 } as const;
}

/** Bits that tell so many things apart. */
function bitsFor(count: number): number {
  return count <= 1 ? 0 : ENTRY_BITS - Math.clz32(count - 1);
}

/** Allocates postings in shared memory. */
export function makePostings(sizes: PostingSizes): PostingEntries {
  const { bits, apart } = postingLayout(sizes);
  const entries = new Uint32Array(new SharedArrayBuffer(4 * sizes.postings));
  if (apart === 0) return { entries, bits };
  const buffer = new SharedArrayBuffer(apart * sizes.postings);
  return { entries, bits, saturations: apart === 4 ? new Uint32Array(buffer) : new Uint16Array(buffer) };
}

export function setPosting({ entries, bits, saturations }: PostingEntries, at: number, document: number, row: number) {
  if (saturations === undefined) entries[at] = (document << bits) | row;
  else {
    entries[at] = document;
    saturations[at] = row;
  }
}

/** Returns the saturation of a posting. Its document is `entries[at] >>> bits`. */
export function saturationOf({ entries, bits, saturations }: PostingEntries, at: number): number {
  return saturations === undefined ? entries[at]! & lowBits(bits) : saturations[at]!;
}

/** Returns the number in which only so many low bits are set. */
export function lowBits(bits: number): number {
  return 2 ** bits - 1;
}
