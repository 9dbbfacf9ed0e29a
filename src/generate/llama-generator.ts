import { availableParallelism } from 'node:os';
import type { Llama, LlamaModel } from 'node-llama-cpp';
import { type ChatTemplate, ggufChatTemplate, openCheckpoint } from '../models/index.ts';
import {
  AbortedError,
  contentKey,
  isAbort,
  LlmQeError,
  ModelError,
  ResourceError,
  throwIfAborted,
} from '../system/index.ts';
import { type Adapter, findAdapters, type LoadedAdapter } from './adapters.ts';
import { FinishedQueue } from './finished-queue.ts';
import type { Generation, GenerationRequest, Generator } from './generator.ts';
import { type Job, Lane } from './lane.ts';
import { LlamaSequences } from './llama-context.ts';
import { firstLine, openLlama, planLanes } from './llama-runtime.ts';
import { RequestFeed } from './request-feed.ts';

export interface LlamaOptions {
  /** Texts written side by side. Default 32. */
  sequences?: number | undefined;
  /** Processor threads in all. Default: as many as the machine has. */
  threads?: number | undefined;
  /** Tokens that prompt and text may have together. Default 1024, at most what the model was trained on. */
  contextSize?: number | undefined;
  adapters?: readonly Adapter[] | undefined;
  /** Each text depends on its request alone: one thread, one sequence in a batch. Slower. Default false. */
  deterministic?: boolean | undefined;
  /** 'auto' uses the graphics card where the installed binaries can. Default false. */
  gpu?: false | 'auto' | undefined;
  signal?: AbortSignal | undefined;
}

/** The model's file, and what names it. */
export interface GeneratorModel {
  name: string;
  /** A GGUF file. */
  path: string;
  fingerprint: string;
}

const DEFAULT_SEQUENCES = 32;
const DEFAULT_CONTEXT = 1024;

/** Prompt tokens in one step: on a processor a step must stay short enough to be stopped within a second. */
const PROMPT_TOKENS_PER_STEP = { cpu: 64, gpu: 512 };

/**
 * Loads a chat model into this process, to be run by llama.cpp.
 *
 * @throws ModelError for a file that is not a whole GGUF chat model; ResourceError when it does not fit into memory
 */
export async function loadGenerator(model: GeneratorModel, options: LlamaOptions = {}): Promise<Generator> {
  const { template, vocabularySize } = await readTemplate(model.path);
  const adapters = await findAdapters(options.adapters ?? []);
  throwIfAborted(options.signal);
  const llama = await openLlama(options.gpu ?? false);
  const loaded = await loadModel(llama, model.path, options);
  try {
    const lanes = await openLanes(loaded, adapters, vocabularySize, options);
    const fingerprint = contentKey({
      runtime: 'llama.cpp',
      model: model.fingerprint,
      template: template.source,
      adapters: adapters.map(({ sha256, scale }) => ({ sha256, scale })),
    });
    return new LlamaGenerator(model.name, fingerprint, loaded, template, lanes);
  } catch (error) {
    await loaded.dispose();
    throw error;
  }
}

async function readTemplate(path: string): Promise<{ template: ChatTemplate; vocabularySize: number }> {
  if (!path.endsWith('.gguf')) {
    throw new ModelError('the embedded runtime reads GGUF files', {
      file: path,
      mend: "Name the model's .gguf file, or serve this one with vLLM and name the server's address.",
    });
  }
  const checkpoint = await openCheckpoint(path);
  try {
    const template = ggufChatTemplate(checkpoint);
    const vocabulary = checkpoint.metadata()['tokenizer.ggml.tokens'];
    if (template !== undefined && Array.isArray(vocabulary)) return { template, vocabularySize: vocabulary.length };
  } finally {
    await checkpoint.close();
  }
  throw new ModelError('the model has no chat template', { file: path, mend: 'Use an instruction-tuned chat model.' });
}

async function loadModel(llama: Llama, path: string, { gpu, signal }: LlamaOptions): Promise<LlamaModel> {
  try {
    return await llama.loadModel({
      modelPath: path,
      ...(!gpu && { gpuLayers: 0 }),
      ...(signal && { loadSignal: signal }),
    });
  } catch (cause) {
    if (isAbort(cause) || signal?.aborted) throw new AbortedError();
    throw nativeFault(cause, 'llama.cpp cannot load the model', path);
  }
}

/** A lane and the context that it drives. */
interface OpenLane {
  lane: Lane;
  context: LlamaSequences;
}

async function openLanes(
  model: LlamaModel,
  adapters: readonly LoadedAdapter[],
  vocabularySize: number,
  options: LlamaOptions,
): Promise<OpenLane[]> {
  const { sequences = DEFAULT_SEQUENCES, threads = availableParallelism(), deterministic = false } = options;
  const gpu = Boolean(options.gpu) && model.gpuLayers > 0;
  const plan = planLanes({ sequences, threads, deterministic, gpu });
  const contextSize = Math.min(options.contextSize ?? DEFAULT_CONTEXT, model.trainContextSize);
  const promptTokensPerStep = gpu ? PROMPT_TOKENS_PER_STEP.gpu : PROMPT_TOKENS_PER_STEP.cpu;
  const open: OpenLane[] = [];
  for (let lane = 0; lane < plan.lanes; lane++) {
    try {
      const native = await model.createContext({
        sequences: plan.sequencesPerLane,
        contextSize,
        batchSize: plan.sequencesPerLane + promptTokensPerStep,
        threads: plan.threadsPerLane,
        failedCreationRemedy: false,
        ...(adapters.length > 0 && {
          lora: { adapters: adapters.map(({ file, scale }) => ({ filePath: file, scale })) },
        }),
      });
      const context = new LlamaSequences(native, { threads: plan.threadsPerLane, vocabularySize, size: contextSize });
      open.push({ context, lane: new Lane(context, laneOptions(model, promptTokensPerStep, deterministic)) });
    } catch (cause) {
      for (const { context } of open) await context.close();
      throw nativeFault(cause, 'llama.cpp cannot open the model', model.filename ?? '');
    }
  }
  return open;
}

function laneOptions(model: LlamaModel, promptTokensPerStep: number, deterministic: boolean) {
  const { isRecurrent, isHybrid, swaSize } = model.fileInsights;
  return {
    isEnd: (token: number) => model.isEogToken(token as Parameters<LlamaModel['isEogToken']>[0]),
    textOf: (tokens: number[]) => model.detokenize(tokens as unknown as Parameters<LlamaModel['detokenize']>[0]),
    promptTokensPerStep,
    // Only a plain attention cache can be cut back to a prefix.
    sharePrefixes: !deterministic && !isRecurrent && !isHybrid && swaSize === undefined,
  };
}

function nativeFault(cause: unknown, reason: string, file: string): LlmQeError {
  if (cause instanceof LlmQeError) return cause;
  const detail = `${reason} (${firstLine(cause)})`;
  if (/memory|alloc|VRAM|create context/i.test(firstLine(cause))) {
    const mend = 'Choose fewer sequences or a smaller context, or a smaller model.';
    return new ResourceError(detail, { file, mend, cause });
  }
  return new ModelError(detail, { file, mend: 'Check that the file is a whole chat model in GGUF.', cause });
}

/** A chat model inside this process; see {@link loadGenerator}. */
class LlamaGenerator implements Generator {
  readonly id: string;
  readonly fingerprint: string;
  readonly #model: LlamaModel;
  readonly #template: ChatTemplate;
  readonly #lanes: OpenLane[];
  /** The run before; native work that an abort left behind is waited for. */
  #previous: Promise<unknown> = Promise.resolve();

  constructor(id: string, fingerprint: string, model: LlamaModel, template: ChatTemplate, lanes: OpenLane[]) {
    this.id = id;
    this.fingerprint = fingerprint;
    this.#model = model;
    this.#template = template;
    this.#lanes = lanes;
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
    const driven = Promise.all(this.#lanes.map(({ lane }) => this.#drive(lane, feed, finished, stop.signal)));
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
      // A step that is under way inside llama.cpp cannot be cut short: the next run waits for it, this caller does not.
      void Promise.allSettled([driven, feed.close()]).then(release);
    }
  }

  /** Keeps one lane full until the requests end. */
  async #drive(lane: Lane, feed: RequestFeed, finished: FinishedQueue<Generation>, stop: AbortSignal): Promise<void> {
    lane.drop();
    while (!stop.aborted) {
      while (lane.room > 0) {
        const request = await feed.take(!lane.busy);
        if (request === undefined || stop.aborted) break;
        lane.admit(this.#prepare(request, lane.size));
      }
      if (!lane.busy) return;
      for (const generation of await lane.step()) finished.push(generation);
    }
  }

  #prepare(request: GenerationRequest, room: number): Job {
    const text = this.#template.renderPrompt(request.messages);
    const prompt: number[] = [...this.#model.tokenize(text, true)];
    if (prompt.length < room) return { request, prompt };
    throw new ModelError(`the prompt has ${prompt.length} tokens, and the context holds ${room}`, {
      id: request.id,
      mend:
        room < this.#model.trainContextSize
          ? `Choose a larger context (--context; this model can read ${this.#model.trainContextSize} tokens).`
          : 'Shorten the query, or use a model that reads longer prompts.',
    });
  }

  async close(): Promise<void> {
    await this.#previous;
    for (const { context } of this.#lanes.splice(0)) await context.close();
    await this.#model.dispose();
  }
}
