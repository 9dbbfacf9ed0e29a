import { contentKey } from '../system/index.ts';
import type { EncodeOptions, Encoder, TextRole } from './encoder.ts';

/** Two encoders as one: the first for queries, the second for documents. */
export class RoutedEncoder implements Encoder {
  readonly id: string;
  readonly fingerprint: string;
  readonly documentFingerprint: string | undefined;
  readonly dimensions: number;
  readonly settings: Encoder['settings'];
  readonly #parts: Record<TextRole, Encoder>;

  /** Both have vectors of one size. */
  constructor(id: string, query: Encoder, document: Encoder) {
    this.#parts = { query, document };
    this.id = id;
    this.dimensions = document.dimensions;
    this.fingerprint = contentKey({ query: query.fingerprint, document: document.fingerprint });
    this.documentFingerprint = document.documentFingerprint;
    this.settings = { ...document.settings, queryPrefix: query.settings.queryPrefix!, router: true };
  }

  encode(texts: readonly string[], role: TextRole, options?: EncodeOptions): Promise<Float32Array> {
    return this.#parts[role].encode(texts, role, options);
  }

  async close(): Promise<void> {
    await Promise.all([this.#parts.query.close(), this.#parts.document.close()]);
  }
}
