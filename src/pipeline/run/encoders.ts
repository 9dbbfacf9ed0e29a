import { dirname } from 'node:path';
import { ENCODER_FORMAT, type Encoder, REMOTE_ENCODER_FORMAT } from '../../embed/index.ts';
import type { ModelStore, ResolvedModel } from '../../models/index.ts';
import { openEncoder, type RetrievalSettings, rememberingEncoder } from '../../retrieve/index.ts';
import { contentKey, type Progress } from '../../system/index.ts';
import type { FinishedStage, StageRecord } from './run-folder.ts';

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
    const trained = [...done.values()].findLast(({ record }) => record.outputs.encoder !== undefined);
    if (trained !== undefined) return this.trainedBy(trained, 'encoder');
    const { encoder, encoderModel } = this.#retrieval;
    const own =
      this.#model === undefined
        ? // The address is not part of the key: a server may move.
          { server: encoderModel, ...this.#prefixes(), format: REMOTE_ENCODER_FORMAT }
        : { model: this.#model.fingerprint, ...this.#use() };
    return this.#source(this.#model?.name ?? encoderModel ?? encoder, own, this.#retrieval);
  }

  /** The encoder that a stage trained. @param output the name of its weights file among the outputs of the stage */
  trainedBy({ record, folder: place }: FinishedStage, output: string): EncoderSource {
    const folder = dirname(`${place}/${record.outputs[output]!.file}`);
    const name = `${this.#retrieval.encoder}, trained by ${record.stage}`;
    const key = { trained: contentOf(record.outputs, output), ...this.#use() };
    return this.#source(name, key, { ...this.#retrieval, encoder: folder });
  }

  async close(): Promise<void> {
    const all = await Promise.allSettled(this.#opened.values());
    this.#opened.clear();
    for (const one of all) if (one.status === 'fulfilled') await one.value.close();
  }

  #prefixes() {
    const { queryPrefix, documentPrefix } = this.#retrieval;
    return { queryPrefix, documentPrefix };
  }

  /** How the weights are used. */
  #use() {
    const { precision, pooling, maxLength } = this.#retrieval;
    return { precision, pooling, maxLength, ...this.#prefixes(), format: ENCODER_FORMAT };
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

/**
 * The content of a trained encoder: of its weights file, and of the files that the stage names after it (`encoder: config.json`),
 * such as the weights of the queries' own encoder.
 */
function contentOf(outputs: StageRecord['outputs'], output: string): string {
  const files = Object.entries(outputs).filter(([name]) => name === output || name.startsWith(`${output}: `));
  if (files.length === 1) return files[0]![1].sha256;
  return contentKey(Object.fromEntries(files.map(([name, { sha256 }]) => [name, sha256])));
}

/** What the choice of an encoder depends on. */
interface EncoderContext {
  models: { encoders: Encoders };
  done: ReadonlyMap<string, FinishedStage>;
  before?: EncoderContext | undefined;
}

/** The encoder that a stage must use: the last that was trained, in this round or before. @param context the context of the stage */
export function encoderOf({ models, done, before }: EncoderContext): EncoderSource {
  return models.encoders.at(before === undefined ? done : new Map([...stagesBefore(before), ...done]));
}

/** The stage whose encoder is the retriever of its own arms. */
const RETRIEVER_STAGE = 'retriever';

/** The names under which the stages of these names hold the weights of their encoder. Later stages use the retriever, not the student. */
export const TRAINED_ENCODERS = { [RETRIEVER_STAGE]: 'encoder', student: 'student' } as const;

/** The encoder that the retriever's or the student's stage trained in this round. */
export function trainedEncoderOf(
  { models, done }: Pick<EncoderContext, 'models' | 'done'>,
  stage: keyof typeof TRAINED_ENCODERS,
): EncoderSource {
  return models.encoders.trainedBy(done.get(stage)!, TRAINED_ENCODERS[stage]);
}

/** The encoder of the arms whose retriever is not trained: that of the first round before its retriever was. */
export function untrainedEncoderOf({ models, done, before }: EncoderContext): EncoderSource {
  if (before !== undefined) return untrainedEncoderOf(before);
  return models.encoders.at(new Map([...done].filter(([name]) => name !== RETRIEVER_STAGE)));
}

/** The stages of all rounds up to this one. */
function stagesBefore({ done, before }: EncoderContext, round = 1): [string, FinishedStage][] {
  const own = [...done].map(([name, stage]): [string, FinishedStage] => [`${round} rounds ago: ${name}`, stage]);
  return before === undefined ? own : [...stagesBefore(before, round + 1), ...own];
}

/** The keys of the encoders that are compared: of the untrained retriever, and of those that this round trained. */
export function comparedEncoders(context: EncoderContext): Record<string, unknown> {
  const trained = (Object.keys(TRAINED_ENCODERS) as (keyof typeof TRAINED_ENCODERS)[]).map((stage) => {
    return [stage, context.done.has(stage) ? trainedEncoderOf(context, stage).key : undefined] as const;
  });
  return { encoder: untrainedEncoderOf(context).key, ...Object.fromEntries(trained) };
}
