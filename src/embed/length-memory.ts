/** A length is predicted to be too long after this many texts were. One dense text must not cut longer prose. */
const LEAST_REFUSALS = 3;
/** One in so many texts that are predicted to be too long is sent whole nevertheless. */
const TRIED_WHOLE = 64;

/**
 * What is known about the longest text that a server accepts. Servers count tokens and rarely state a limit, so the lengths of the
 * texts that were accepted and refused must do. Without it, every text that is too long costs two calls or more.
 */
export class LengthMemory {
  /** Lengths at which texts were refused, the shortest first; at most {@link LEAST_REFUSALS}. */
  #refused: number[] = [];
  #longestWhole = 0;
  #longestCut = 0;
  #predicted = 0;

  /** A text was accepted as it is. */
  tookWhole(length: number): void {
    this.#longestWhole = Math.max(this.#longestWhole, length);
  }

  /** A text was refused at one length, and accepted once it was cut to another. */
  tookCut(refused: number, cutTo: number): void {
    this.#refused = [...this.#refused, refused].sort((a, b) => a - b).slice(0, LEAST_REFUSALS);
    this.#longestCut = Math.max(this.#longestCut, cutTo);
  }

  /** Returns the length to which a text is best cut before it is sent; its own length if it may be accepted whole. */
  lengthFor(length: number): number {
    const several = this.#refused[LEAST_REFUSALS - 1];
    if (several === undefined || length < several || length <= this.#longestWhole) return length;
    if (this.#predicted++ % TRIED_WHOLE === TRIED_WHOLE - 1) return length;
    return Math.min(length, Math.max(this.#longestCut, this.#longestWhole));
  }
}
