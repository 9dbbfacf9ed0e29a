const START_SLOTS = 1 << 12;
const FULLEST = 0.6;

/**
 * A set of ids that stores 64 bits of hash for each instead of the text: 13 to 27 bytes per id, however long it is, without `Set`'s
 * limit of 2^24 entries. The probability that two among ten million different ids count as equal is 3e-6.
 */
export class IdSet {
  #low = new Uint32Array(START_SLOTS);
  #high = new Uint32Array(START_SLOTS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds an id. Returns whether it was new. */
  add(id: string): boolean {
    const [low, high] = hash64(id);
    const slot = this.#find(low, high);
    if (this.#high[slot] !== 0) return false;
    this.#low[slot] = low;
    this.#high[slot] = high;
    this.#size++;
    if (this.#size > FULLEST * this.#low.length) this.#grow();
    return true;
  }

  has(id: string): boolean {
    const [low, high] = hash64(id);
    return this.#high[this.#find(low, high)] !== 0;
  }

  /** Returns the slot that holds the hash, or the free slot for it. A free slot has 0 in its high half. */
  #find(low: number, high: number): number {
    const mask = this.#low.length - 1;
    let slot = low & mask;
    while (this.#high[slot] !== 0 && (this.#low[slot] !== low || this.#high[slot] !== high)) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const low = this.#low;
    const high = this.#high;
    this.#low = new Uint32Array(low.length * 2);
    this.#high = new Uint32Array(low.length * 2);
    for (let old = 0; old < low.length; old++) {
      if (high[old] === 0) continue;
      const slot = this.#find(low[old]!, high[old]!);
      this.#low[slot] = low[old]!;
      this.#high[slot] = high[old]!;
    }
  }
}

/** Returns two 32-bit halves, the second never 0. Mixes as in cyrb53, with MurmurHash3's finalisation across both halves. */
export function hash64(text: string): [low: number, high: number] {
  let a = 0xdeadbeef ^ text.length;
  let b = 0x41c6ce57 ^ text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(b ^ unit, 0x5f356495);
    a ^= a >>> 15;
    b ^= b >>> 13;
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return [a >>> 0, b >>> 0 || 1];
}
