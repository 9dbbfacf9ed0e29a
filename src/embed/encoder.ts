/** What a text is to the search; encoders may put another prefix before each. */
export type TextRole = 'query' | 'document';

export interface EncodeOptions {
  signal?: AbortSignal | undefined;
  /** Called with the number of texts just finished. */
  onTexts?: ((count: number) => void) | undefined;
  /**
   * Called with the row of each text that is longer than the encoder reads. An encoder that can tell has its limit, in tokens, as
   * `settings.maxLength`.
   */
  onCut?: ((row: number) => void) | undefined;
}

/** Something that turns texts into vectors. */
export interface Encoder {
  /** A name for people. */
  readonly id: string;
  /**
   * Content key of all that decides a vector besides the text: weights, pooling, normalisation, maximum length,
   * prefixes, precision; or server and model.
   */
  readonly fingerprint: string;
  readonly dimensions: number;
  /** Plain facts about the encoder for reports and manifests (pooling, normalised, maximum length, precision, ...). */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  /** Row-major vectors // [texts, dimensions], in the order of the texts. */
  encode(texts: readonly string[], role: TextRole, options?: EncodeOptions): Promise<Float32Array>;
  close(): Promise<void>;
}
