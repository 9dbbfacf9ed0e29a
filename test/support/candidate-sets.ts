import { type CandidateRecord, candidateIdOf } from '../../src/data/index.ts';
import type { Encoder } from '../../src/embed/index.ts';

/** Candidates of one query out of their texts. */
export function candidatesOf(queryId: string, texts: readonly string[], temperature = 1): CandidateRecord[] {
  return texts.map((text, index) => ({
    queryId,
    candidateId: candidateIdOf(queryId, index),
    index,
    temperature,
    seed: index,
    text,
  }));
}

/**
 * An encoder whose vectors can be told by hand: one dimension a letter, which counts how often the text has it. So "ab" and
 * "ba" lie together, "aa" and "b" at a right angle.
 */
export class LetterEncoder implements Encoder {
  readonly id = 'letters';
  readonly fingerprint: string;
  readonly dimensions = 26;
  readonly settings = {};
  /** Every text that was encoded, with its role. */
  readonly calls: [text: string, role: string][] = [];

  constructor(fingerprint = 'letters') {
    this.fingerprint = fingerprint;
  }

  async encode(texts: readonly string[], role: string): Promise<Float32Array> {
    const vectors = new Float32Array(texts.length * this.dimensions);
    for (const [row, text] of texts.entries()) {
      this.calls.push([text, role]);
      for (const letter of text.toLowerCase()) {
        const place = letter.charCodeAt(0) - 97;
        if (place >= 0 && place < 26) vectors[row * this.dimensions + place]! += 1;
      }
    }
    return vectors;
  }

  async close(): Promise<void> {}
}
