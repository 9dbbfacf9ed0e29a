import { dirname } from 'node:path';
import { ENCODER_FORMAT, type Encoder } from '../../embed/index.ts';
import type { ModelStore, ResolvedModel } from '../../models/index.ts';
import { openEncoder, type RetrievalSettings, rememberingEncoder } from '../../retrieve/index.ts';
import type { Progress } from '../../system/index.ts';
import type { FinishedStage } from './run-folder.ts';

/** An encoder that is known before it is opened, and opened when it is first used. */
export interface EncoderSource {
  /** For people. */
  readonly name: string;
  /** What names it in keys: its weights, or server and model, and how they are used. */
  readonly key: Readonly<Record<string, unknown>>;
  /** How it searches; `alpha` is each arm's own. */
  readonly retrieval: RetrievalSettings;
  /** The same encoder each time; it stays open until the run ends. */
  open(): Promise<Encoder>;
}

/** The encoders of a run: that of the recipe, and those that its stages train. Each is opened once, and only if it is asked for. */
export class Encoders {
  readonly #store: ModelStore;
  readonly #retrieval: RetrievalSettings;
  readonly #model: ResolvedModel | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #progress: Progress | undefined;
  readonly #opened = new Map<string, Promise<Encoder>>();

  /**
   * @param model the recipe's own, resolved but not loaded; undefined of a server
   * @param retrieval how it searches
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

  /** The encoder as it stands behind the stages that are done: the last one that a stage made, else the recipe's. */
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
        ? // Not where it stands: a server may move.
          { server: encoderModel, ...prefixes }
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

  /** An encoder that could not be opened is tried again when it is next asked for. */
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

/** The encoder that a stage is to use. @param context of the stage */
export function encoderOf({
  models,
  done,
}: {
  models: { encoders: Encoders };
  done: ReadonlyMap<string, FinishedStage>;
}): EncoderSource {
  return models.encoders.at(done);
}
