/** The role of a text in the search; encoders may use a different prefix for each role. */
export type TextRole = 'query' | 'document';

export interface EncodeOptions {
  signal?: AbortSignal | undefined;
  /** Called with the number of texts that were just finished. */
  onTexts?: ((count: number) => void) | undefined;
  /**
   * Called with the row of each text that is longer than the encoder's limit. An encoder that can detect this states
   * its limit, in tokens, as `settings.maxLength`.
   */
  onCut?: ((row: number) => void) | undefined;
  /**
   * Called with the number of tokens that were read of each text, by row, if the encoder knows it. A server tells the sum of a call:
   * its texts then share it by their lengths.
   */
  onTokens?: ((row: number, tokens: number) => void) | undefined;
}

/** Converts texts to vectors. */
export interface Encoder {
  /** A readable name. */
  readonly id: string;
  /**
   * A content key of everything except the text that decides a vector: weights, pooling, normalisation, maximum length,
   * prefixes and precision; or server and model.
   */
  readonly fingerprint: string;
  /**
   * The same for the vectors of documents alone, which may be those of another encoder too: an encoder that was trained for queries
   * only. Default: the fingerprint.
   */
  readonly documentFingerprint?: string | undefined;
  readonly dimensions: number;
  /** The settings of the encoder, for reports and manifests (pooling, normalised, maximum length, precision, ...). */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  /** How many calls it can have in progress, if many: a corpus is then encoded in so many batches at once. */
  readonly batchesAtOnce?: number | undefined;
  /** Returns row-major vectors // [texts, dimensions], in the order of the texts. */
  encode(texts: readonly string[], role: TextRole, options?: EncodeOptions): Promise<Float32Array>;
  close(): Promise<void>;
}
