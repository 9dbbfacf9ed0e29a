import { createHash } from 'node:crypto';
import type { EncodeOptions, Encoder, TextRole } from '../../src/embed/index.ts';

/** Gives each text the vector of its hash, and remembers the documents that it encoded. */
export class HashingEncoder implements Encoder {
  readonly id = 'hashing';
  readonly fingerprint = 'hashing-1';
  readonly dimensions = 8;
  readonly settings = { maxLength: 12 };
  readonly encoded: string[] = [];
  /** Fails at this document, counted from 1. */
  failAt = Number.POSITIVE_INFINITY;

  async encode(texts: readonly string[], role: TextRole, { onCut }: EncodeOptions = {}): Promise<Float32Array> {
    if (role === 'document') {
      this.encoded.push(...texts);
      if (this.encoded.length >= this.failAt) throw new Error('the encoder failed');
    }
    for (const [row, text] of texts.entries()) if (text.split(' ').length > this.settings.maxLength) onCut?.(row);
    return Float32Array.from(texts.flatMap((text) => [...hashOf(text)].map((byte) => byte / 64 - 2)));
  }

  async close(): Promise<void> {}
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest().subarray(0, 8);
}
