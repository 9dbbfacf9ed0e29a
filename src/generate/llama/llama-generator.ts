import { availableParallelism } from 'node:os';
import type { LlamaModel } from 'node-llama-cpp';
import { type ChatTemplate, ggufChatTemplate, openCheckpoint, type TensorInfo } from '../../models/index.ts';
import { AbortedError, contentKey, ModelError, type Progress, throwIfAborted } from '../../system/index.ts';
import { FinishedQueue } from '../finished-queue.ts';
import type { ChatMessage, Generation, GenerationRequest, Generator } from '../generator.ts';
import { RequestFeed } from '../request-feed.ts';
import { type AdaptedModel, type Adapter, adaptedModel, findAdapters } from './adapters.ts';
import { fitPrompt } from './fit-prompt.ts';
import type { Job, Lane } from './lane.ts';
import { DEFAULT_CONTEXT, type OpenLlamaModel, openLlamaModel } from './llama-model.ts';
import { quickCopyOf, wantsQuickCopy } from './quick-weights.ts';
import { renderOrJoin } from './render-or-join.ts';

export interface LlamaOptions {
  /** Number of texts written side by side. Default 32. */
  sequences?: number | undefined;
  /** Processor threads in total. Default: the number of processor cores. */
  threads?: number | undefined;
  /** Maximum number of tokens of prompt and text together. Default 1024, at most the length that the model was trained on. */
  contextSize?: number | undefined;
  adapters?: readonly Adapter[] | undefined;
  /** Whether generations hold the mean log-probability of their tokens. It costs one pass over the vocabulary per token. Default false. */
  logProbabilities?: boolean | undefined;
  /** Additional variables for the chat template, such as `enable_thinking`. They are part of the fingerprint. */
  chatTemplateKwargs?: Readonly<Record<string, unknown>> | undefined;
  /** Makes each text depend on its request alone: one thread, one sequence per batch. Slower. Default false. */
  deterministic?: boolean | undefined;
  /** 'auto' uses the graphics card if the installed binaries support it. Default false. */
  gpu?: false | 'auto' | undefined;
  /**
   * Whether weights of a type that is slow on a processor (Q4_1, Q5_1) are run from a Q8_0 copy in the cache: many texts side by side
   * are written about twice as fast, at the cost of disk space and memory. A lone text is faster without it. It changes texts, so it does
   * not depend on `sequences`. Default true.
   */
  quickWeights?: boolean | undefined;
  progress?: Progress | undefined;
  signal?: AbortSignal | undefined;
}

/** A model's file and the names that identify it. */
export interface GeneratorModel {
  name: string;
  /** A GGUF file. */
  path: string;
  fingerprint: string;
}

/**
 * Prepares a chat model that llama.cpp runs inside this process. The file's header and the adapters are read and checked here. The
 * weights are loaded by the first call of `generate`: if the journal already holds all texts, they are never loaded. Faults in the
 * weights are therefore thrown there, as ModelError, or as ResourceError if they do not fit into memory.
 *
 * @throws ModelError if the file is not a complete GGUF chat model, or if an adapter belongs to another model
 */
export async function loadGenerator(model: GeneratorModel, options: LlamaOptions = {}): Promise<Generator> {
  const { template, vocabularySize, tensors, ...facts } = await readModelFile(model.path);
  const adapters = await findAdapters(options.adapters ?? [], facts, options.signal);
  throwIfAborted(options.signal);
  const isQuick = (options.quickWeights ?? true) && !options.gpu && wantsQuickCopy({ ...facts, tensors });
  const fingerprint = contentKey({
    runtime: 'llama.cpp',
    weights: isQuick ? 'Q8_0' : undefined,
    model: model.fingerprint,
    template: template.source,
    variables: options.chatTemplateKwargs,
    computed: computedBy(options),
    adapters: adapters.map(({ sha256, scale }) => ({ sha256, scale })),
  });
  const { contextSize = DEFAULT_CONTEXT } = options;
  const render = (messages: ChatMessage[]) =>
    renderOrJoin(messages, (given) => template.renderPrompt(given, options.chatTemplateKwargs));
  return new LlamaGenerator({ id: model.name, fingerprint, contextSize }, render, async (signal) => {
    const path = isQuick ? await quickCopyOf(model, { signal, progress: options.progress }) : model.path;
    return openLlamaModel({ path, vocabularySize, adapters }, options, signal);
  });
}

/**
 * Describes the properties of the machine that decide a text: rounding differs between a processor and a graphics card, and between
 * one thread and several. The exact number of threads is omitted: with more than one, the shape of each batch depends on timing,
 * and even equal runs differ.
 */
function computedBy({ deterministic = false, gpu = false, threads = availableParallelism() }: LlamaOptions): string {
  const by = gpu ? 'graphics card' : threads === 1 || deterministic ? 'one thread' : 'several threads';
  return deterministic ? `${by}, one text at a time` : by;
}

interface ModelFile extends AdaptedModel {
  template: ChatTemplate;
  vocabularySize: number;
  tensors: readonly TensorInfo[];
}

async function readModelFile(path: string): Promise<ModelFile> {
  if (!path.endsWith('.gguf')) {
    throw new ModelError('the embedded runtime reads GGUF files', {
      file: path,
      fix: "Pass the model's .gguf file, or serve this model with vLLM and pass the server's address.",
    });
  }
  const checkpoint = await openCheckpoint(path);
  try {
    const template = ggufChatTemplate(checkpoint);
    const metadata = checkpoint.metadata();
    const vocabulary = metadata['tokenizer.ggml.tokens'];
    if (template !== undefined) {
      if (!Array.isArray(vocabulary)) {
        const fix = 'Convert or download the model again.';
        throw new ModelError('the model has no vocabulary (tokenizer.ggml.tokens)', { file: path, fix });
      }
      const tensors = checkpoint.tensors();
      return { template, vocabularySize: vocabulary.length, tensors, ...adaptedModel(checkpoint) };
    }
  } finally {
    await checkpoint.close();
  }
  throw new ModelError('the model has no chat template', { file: path, fix: 'Use an instruction-tuned chat model.' });
}

/** A chat model inside this process. See {@link loadGenerator}. */
class LlamaGenerator implements Generator {
  readonly id: string;
  readonly fingerprint: string;
  readonly contextSize: number;
  readonly isExclusive = true;
  readonly #render: (messages: ChatMessage[]) => string;
  readonly #open: (signal: AbortSignal | undefined) => Promise<OpenLlamaModel>;
  #opened: OpenLlamaModel | undefined;
  /** The previous run: native work that an abort left behind must end first. */
  #previous: Promise<unknown> = Promise.resolve();

  constructor(
    { id, fingerprint, contextSize }: { id: string; fingerprint: string; contextSize: number },
    render: (messages: ChatMessage[]) => string,
    open: (signal: AbortSignal | undefined) => Promise<OpenLlamaModel>,
  ) {
    this.id = id;
    this.fingerprint = fingerprint;
    this.contextSize = contextSize;
    this.#render = render;
    this.#open = open;
  }

  async *generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal?: AbortSignal,
  ): AsyncGenerator<Generation> {
    const previous = this.#previous;
    let release = (): void => {};
    this.#previous = new Promise<void>((resolve) => {
      release = resolve;
    });
    await previous;
    const feed = new RequestFeed(requests);
    const finished = new FinishedQueue<Generation>();
    const stop = new AbortController();
    const onAbort = (): void => {
      stop.abort();
      finished.fail(new AbortedError());
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    const driven = this.#run(feed, finished, stop);
    driven.then(
      () => finished.end(),
      (error: unknown) => {
        stop.abort();
        finished.fail(error);
      },
    );
    try {
      yield* finished;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      stop.abort();
      // A step already running inside llama.cpp cannot be interrupted. The next run waits for it; this caller does not.
      void Promise.allSettled([driven, feed.close()]).then(release);
    }
  }

  /** Loads the weights on the first run, then lets all lanes write. */
  async #run(feed: RequestFeed, finished: FinishedQueue<Generation>, stop: AbortController): Promise<void> {
    this.#opened ??= await this.#open(stop.signal);
    const { model, lanes } = this.#opened;
    const prepare = (request: GenerationRequest, room: number) => this.#prepare(model, request, room);
    const driven = lanes.map(({ lane }) =>
      this.#drive(lane, prepare, feed, finished, stop.signal).catch((error: unknown) => {
        stop.abort();
        throw error;
      }),
    );
    // The caller may close the model when it learns of a fault, so the last lane must have stopped first.
    const failed = (await Promise.allSettled(driven)).find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Keeps one lane full until the requests end. */
  async #drive(
    lane: Lane,
    prepare: (request: GenerationRequest, room: number) => Job | Generation,
    feed: RequestFeed,
    finished: FinishedQueue<Generation>,
    stop: AbortSignal,
  ): Promise<void> {
    lane.drop();
    while (!stop.aborted) {
      while (lane.room > 0) {
        const request = await feed.take(!lane.busy);
        if (request === undefined || stop.aborted) break;
        const prepared = prepare(request, lane.size);
        if ('request' in prepared) lane.admit(prepared);
        else finished.push(prepared);
      }
      if (!lane.busy) return;
      for (const generation of await lane.step()) finished.push(generation);
    }
  }

  /** Returns the job; if the prompt does not fit into the context, returns an empty generation that says so. */
  #prepare(model: LlamaModel, request: GenerationRequest, room: number): Job | Generation {
    const { tokens: prompt, cut } = fitPrompt(
      request,
      { limit: promptRoom(request, room), room },
      {
        promptTokens: (messages) => [...model.tokenize(this.#render(messages), true)],
        tokens: (text) => [...model.tokenize(text)],
        textOf: (tokens) => model.detokenize(tokens as unknown as Parameters<LlamaModel['detokenize']>[0]),
      },
    );
    if (prompt.length < room) return { request, prompt, promptCut: cut };
    const nothing = { text: '', finish: 'stop', completionTokens: 0, milliseconds: 0 } as const;
    return { id: request.id, ...nothing, promptTokens: prompt.length, promptTooLong: true };
  }

  async close(): Promise<void> {
    await this.#previous;
    await this.#opened?.close();
    this.#opened = undefined;
  }
}

/** Maximum length of a prompt that leaves room for the text; at least half of the context. */
function promptRoom({ sampling }: GenerationRequest, room: number): number {
  return Math.max(room - sampling.maxTokens, Math.floor(room / 2));
}
