import type { EncodeOptions, Encoder, TextRole } from '../../embed/index.ts';
import { contentKey, DataError } from '../../system/index.ts';
import type { JobBoard } from './job-board.ts';
import { JOB_FORMAT, vectorsResult } from './messages.ts';
import { unpack } from './payload.ts';

export type EncoderFacts = Pick<Encoder, 'id' | 'fingerprint' | 'documentFingerprint' | 'dimensions' | 'settings'>;

/** Calls at once for each worker: one in progress, one that waits, and one that is being stored. */
const CALLS_PER_WORKER = 3;

/** An encoder whose vectors are computed by the workers of a queue: each call is one job. */
export class QueueEncoder implements Encoder {
  readonly id: string;
  readonly fingerprint: string;
  readonly documentFingerprint: string | undefined;
  readonly dimensions: number;
  readonly settings: Encoder['settings'];
  readonly batchesAtOnce: number;
  readonly #board: JobBoard;

  constructor(facts: EncoderFacts, board: JobBoard, workers: number) {
    [this.id, this.fingerprint, this.documentFingerprint] = [facts.id, facts.fingerprint, facts.documentFingerprint];
    [this.dimensions, this.settings, this.#board] = [facts.dimensions, facts.settings, board];
    this.batchesAtOnce = CALLS_PER_WORKER * Math.max(1, workers);
  }

  async encode(texts: readonly string[], role: TextRole, options: EncodeOptions = {}): Promise<Float32Array> {
    if (texts.length === 0) return new Float32Array(0);
    const id = `vectors-${contentKey({ format: JOB_FORMAT, encoder: this.fingerprint, role, texts })}`;
    const result = await this.#board.run(id, { kind: 'vectors', role, texts: [...texts] }, options.signal);
    const { vectors, cut } = unpack(result.packed, vectorsResult, 'the result of a worker');
    const bytes = Buffer.from(vectors, 'base64');
    if (bytes.length !== texts.length * this.dimensions * 4 || cut.some((row) => row >= texts.length)) {
      throw new DataError(`a worker sent ${bytes.length} bytes for ${texts.length} vectors`, {
        fix: 'Use the same version of llm-qe on all machines.',
      });
    }
    await result.release();
    for (const row of cut) options.onCut?.(row);
    options.onTexts?.(texts.length);
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  }

  async close(): Promise<void> {
    await this.#board.close();
  }
}
