import { dirname } from 'node:path';
import { ENCODER_FORMAT, type Encoder, REMOTE_ENCODER_FORMAT } from '../../embed/index.ts';
import type { ModelStore, ResolvedModel } from '../../models/index.ts';
import { openEncoder, type RetrievalSettings, rememberingEncoder } from '../../retrieve/index.ts';
import type { Progress } from '../../system/index.ts';
import type { FinishedStage } from './run-folder.ts';

/** An encoder whose identity is known before it is opened. It is opened at first use. */
export interface EncoderSource {
  /** Name for display. */
  readonly name: string;
  /** Its identity in keys: its weights, or the server's model, and how they are used. */
  readonly key: Readonly<Record<string, unknown>>;
  /** Its search settings; each arm has its own `alpha`. */
  readonly retrieval: RetrievalSettings;
  /** Returns the same encoder each time; it stays open until the run ends. */
  open(): Promise<Encoder>;
}

/** The encoders of a run: that of the recipe, and those that its stages train. Each is opened once, at first use. */
export class Encoders {
  readonly #store: ModelStore;
  readonly #retrieval: RetrievalSettings;
  readonly #model: ResolvedModel | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #progress: Progress | undefined;
  readonly #opened = new Map<string, Promise<Encoder>>();

  /**
   * @param model the recipe's encoder, resolved but not loaded; undefined for a server
   * @param retrieval its search settings
   */
  constructor(
    store: ModelStore,
    model: ResolvedModel | undefined,
    retrieval: RetrievalSettings,
    signal?: AbortSignal | undefined,
    progress?: Progress | undefined,
  ) {
    this.#store = store;
    this.#model = model;
    this.#retrieval = retrieval;
    this.#signal = signal;
    this.#progress = progress;
  }

  /** The encoder after the finished stages: the last one that a stage produced, otherwise the recipe's. */
  at(done: ReadonlyMap<string, FinishedStage>): EncoderSource {
    const { encoder, encoderModel, precision, pooling, maxLength, queryPrefix, documentPrefix } = this.#retrieval;
    const prefixes = { queryPrefix, documentPrefix };
    const used = { precision, pooling, maxLength, ...prefixes, format: ENCODER_FORMAT };
    const trained = [...done.values()].findLast(({ record }) => record.outputs.encoder !== undefined);
    if (trained !== undefined) {
      const { file, sha256 } = trained.record.outputs.encoder!;
      const folder = dirname(`${trained.folder}/${file}`);
      const name = `${encoder}, trained by ${trained.record.stage}`;
      return this.#source(name, { trained: sha256, ...used }, { ...this.#retrieval, encoder: folder });
    }
    const own =
      this.#model === undefined
        ? // The address is not part of the key: a server may move.
          { server: encoderModel, ...prefixes, format: REMOTE_ENCODER_FORMAT }
        : { model: this.#model.fingerprint, ...used };
    return this.#source(this.#model?.name ?? encoderModel ?? encoder, own, this.#retrieval);
  }

  async close(): Promise<void> {
    const all = await Promise.allSettled(this.#opened.values());
    this.#opened.clear();
    for (const one of all) if (one.status === 'fulfilled') await one.value.close();
  }

  #source(name: string, key: EncoderSource['key'], retrieval: RetrievalSettings): EncoderSource {
    return { name, key, retrieval, open: () => this.#open(retrieval) };
  }

  /** If an encoder cannot be opened, the next use tries again. */
  #open(retrieval: RetrievalSettings): Promise<Encoder> {
    const { encoder } = retrieval;
    const opened =
      this.#opened.get(encoder) ??
      openEncoder(retrieval, this.#store, this.#signal, this.#progress).then(rememberingEncoder);
    this.#opened.set(encoder, opened);
    opened.catch(() => this.#opened.delete(encoder));
    return opened;
  }
}

/** The encoder that a stage must use. @param context the context of the stage */
export function encoderOf({
  models,
  done,
}: {
  models: { encoders: Encoders };
  done: ReadonlyMap<string, FinishedStage>;
}): EncoderSource {
  return models.encoders.at(done);
}
