import { folderOfVectors } from './encode-corpus.ts';
import type { EncodeOptions, Encoder, TextRole } from './encoder.ts';
import { StoredVectors } from './stored-vectors.ts';

/**
 * An encoder that reads the vectors of documents that are stored already, and asks another encoder for the others. The store is
 * only read, so no other process has to wait for this one.
 */
export class StoredEncoder implements Encoder {
  readonly id: string;
  readonly fingerprint: string;
  readonly documentFingerprint: string | undefined;
  readonly dimensions: number;
  readonly settings: Encoder['settings'];
  readonly batchesAtOnce: number | undefined;
  readonly #encoder: Encoder;
  readonly #stored: StoredVectors;

  private constructor(encoder: Encoder, stored: StoredVectors) {
    [this.id, this.fingerprint, this.documentFingerprint] = [
      encoder.id,
      encoder.fingerprint,
      encoder.documentFingerprint,
    ];
    [this.dimensions, this.settings, this.batchesAtOnce] = [
      encoder.dimensions,
      encoder.settings,
      encoder.batchesAtOnce,
    ];
    [this.#encoder, this.#stored] = [encoder, stored];
  }

  /**
   * @param folder of all vectors, as `encodeCorpus` takes it
   * @throws ResourceError
   */
  static async open(encoder: Encoder, folder: string): Promise<StoredEncoder> {
    const stored = await StoredVectors.open(folderOfVectors(folder, encoder), encoder.dimensions);
    return new StoredEncoder(encoder, stored);
  }

  async encode(texts: readonly string[], role: TextRole, options: EncodeOptions = {}): Promise<Float32Array> {
    if (role !== 'document') return this.#encoder.encode(texts, role, options);
    const known = new Map<number, number>();
    const others: number[] = [];
    for (const [place, text] of texts.entries()) {
      const row = this.#stored.find(text);
      if (row === undefined) others.push(place);
      else known.set(place, row);
    }
    if (known.size === 0) return this.#encoder.encode(texts, role, options);
    const vectors = new Float32Array(texts.length * this.dimensions);
    await this.#stored.read(known, vectors);
    for (const [place, row] of known) if (this.#stored.isCut(row)) options.onCut?.(place);
    options.onTexts?.(known.size);
    await this.#encodeOthers(texts, others, vectors, options);
    return vectors;
  }

  /** Closes the encoder that was passed to {@link open}. */
  async close(): Promise<void> {
    await this.#encoder.close();
  }

  /** Writes the vectors of the texts at these places into the array // [texts, dimensions] */
  async #encodeOthers(
    texts: readonly string[],
    places: readonly number[],
    vectors: Float32Array,
    { onCut, ...options }: EncodeOptions,
  ): Promise<void> {
    if (places.length === 0) return;
    const wanted = places.map((place) => texts[place]!);
    const made = await this.#encoder.encode(wanted, 'document', { ...options, onCut: (at) => onCut?.(places[at]!) });
    for (const [at, place] of places.entries()) {
      vectors.set(made.subarray(at * this.dimensions, (at + 1) * this.dimensions), place * this.dimensions);
    }
  }
}
