import { availableParallelism } from 'node:os';
import type { LlamaModel } from 'node-llama-cpp';
import { AbortedError, isAbort, LlmQeError, ModelError, ResourceError } from '../../system/index.ts';
import type { LoadedAdapter } from './adapters.ts';
import { Lane } from './lane.ts';
import { LlamaSequences } from './llama-context.ts';
import { firstLine, NativeLog, openLlama, planLanes } from './llama-runtime.ts';
import { NativeSession } from './native-session.ts';

/** How a model is run. See the options of `loadGenerator`. */
export interface LlamaSettings {
  sequences?: number | undefined;
  threads?: number | undefined;
  contextSize?: number | undefined;
  deterministic?: boolean | undefined;
  logProbabilities?: boolean | undefined;
  gpu?: false | 'auto' | undefined;
}

/** The properties of the model's file that matter for running it. */
export interface LlamaFile {
  path: string;
  vocabularySize: number;
  adapters: readonly LoadedAdapter[];
}

const DEFAULT_SEQUENCES = 32;
export const DEFAULT_CONTEXT = 1024;

/** Prompt tokens per step: on a processor a step must be short enough to be stopped within a second. */
const PROMPT_TOKENS_PER_STEP = { cpu: 64, gpu: 512 };

/** A lane and its context. */
export interface OpenLane {
  lane: Lane;
  context: LlamaSequences;
}

/** A model's weights in memory, and the lanes that write with them. */
export interface OpenLlamaModel {
  model: LlamaModel;
  lanes: OpenLane[];
  /** Waits for calls in progress. */
  close(): Promise<void>;
}

/**
 * Loads the weights and creates the contexts.
 *
 * @throws ModelError if llama.cpp refuses the file; ResourceError if it does not fit into memory
 */
export async function openLlamaModel(
  file: LlamaFile,
  settings: LlamaSettings,
  signal?: AbortSignal,
): Promise<OpenLlamaModel> {
  const session = new NativeSession();
  try {
    const model = await loadModel(session, file.path, settings, signal);
    const lanes = await openLanes(session, model, file, settings);
    return { model, lanes, close: () => session.close() };
  } catch (error) {
    await session.close();
    throw error;
  }
}

/**
 * Loads the weights.
 * @param session owns the model from now on
 * @throws ModelError, ResourceError, AbortedError
 */
export async function loadModel(
  session: NativeSession,
  path: string,
  { gpu }: LlamaSettings,
  signal: AbortSignal | undefined,
): Promise<LlamaModel> {
  const llama = await openLlama(gpu ?? false);
  if (signal?.aborted) throw new AbortedError();
  const load = () =>
    llama.loadModel({ modelPath: path, ...(!gpu && { gpuLayers: 0 }), ...(signal && { loadSignal: signal }) });
  const lines = new NativeLog();
  try {
    return await session.acquire(load, (model) => model.dispose());
  } catch (cause) {
    if (isAbort(cause) || signal?.aborted) throw new AbortedError();
    throw nativeFault(cause, 'llama.cpp cannot load the model', path, await lines.last());
  } finally {
    lines.close();
  }
}

async function openLanes(
  session: NativeSession,
  model: LlamaModel,
  file: LlamaFile,
  settings: LlamaSettings,
): Promise<OpenLane[]> {
  const { sequences = DEFAULT_SEQUENCES, threads = availableParallelism(), deterministic = false } = settings;
  const gpu = Boolean(settings.gpu) && model.gpuLayers > 0;
  const plan = planLanes({ sequences, threads, deterministic, gpu });
  const size = Math.min(settings.contextSize ?? DEFAULT_CONTEXT, model.trainContextSize);
  const promptTokensPerStep = gpu ? PROMPT_TOKENS_PER_STEP.gpu : PROMPT_TOKENS_PER_STEP.cpu;
  const { adapters, vocabularySize } = file;
  const lanes: OpenLane[] = [];
  const lines = new NativeLog();
  const create = () =>
    model.createContext({
      sequences: plan.sequencesPerLane,
      contextSize: size,
      batchSize: plan.sequencesPerLane + promptTokensPerStep,
      threads: plan.threadsPerLane,
      failedCreationRemedy: false,
      ...(adapters.length > 0 && {
        lora: { adapters: adapters.map(({ file: filePath, scale }) => ({ filePath, scale })) },
      }),
    });
  try {
    for (let lane = 0; lane < plan.lanes; lane++) {
      const native = await session.acquire(create, (context) => context.dispose());
      const context = new LlamaSequences(session, native, { threads: plan.threadsPerLane, vocabularySize, size });
      lanes.push({ context, lane: new Lane(context, laneOptions(model, promptTokensPerStep, settings)) });
    }
    return lanes;
  } catch (cause) {
    const reason = `llama.cpp cannot open the model${adapters.length > 0 ? ' with its adapters' : ''}`;
    throw nativeFault(cause, reason, file.path, await lines.last());
  } finally {
    lines.close();
  }
}

function laneOptions(
  model: LlamaModel,
  promptTokensPerStep: number,
  { deterministic = false, logProbabilities }: LlamaSettings,
) {
  const { isRecurrent, isHybrid, swaSize } = model.fileInsights;
  return {
    isEnd: (token: number) => model.isEogToken(token as Parameters<LlamaModel['isEogToken']>[0]),
    textOf: (tokens: number[]) => textOf(model, tokens as unknown as Tokens),
    promptTokensPerStep,
    logProbabilities,
    // Only a plain attention cache can be trimmed to a prefix.
    sharePrefixes: !deterministic && !isRecurrent && !isHybrid && swaSize === undefined,
  };
}

type Tokens = Parameters<LlamaModel['detokenize']>[0];

/** Control tokens that separate thoughts from the answer; the text of all other control tokens is dropped. */
const TELLING = /think|channel|message|start|thought|solution/i;

/** The text that a model wrote, including those control tokens that mark its thoughts (Magistral, gpt-oss): the thoughts are cut later. */
function textOf(model: LlamaModel, tokens: Tokens): string {
  const plain = model.detokenize(tokens);
  if (model.detokenize(tokens, true) === plain) return plain;
  const isTelling = (token: Tokens[number]) =>
    !model.isSpecialToken(token) || TELLING.test(model.detokenize([token], true));
  return model.detokenize(tokens.filter(isTelling), true);
}

/**
 * Converts an exception of llama.cpp into one of this package's errors.
 * @param said what it wrote to its log, which explains more than its exception
 */
export function nativeFault(cause: unknown, reason: string, file: string, said: readonly string[]): LlmQeError {
  if (cause instanceof LlmQeError) return cause;
  const detail = `${reason} (${said.length > 0 ? said.join('; ') : firstLine(cause)})`;
  if (/memory|alloc|VRAM|create context/i.test(`${firstLine(cause)} ${said.join(' ')}`)) {
    const fix = 'Use fewer sequences, a smaller context or a smaller model.';
    return new ResourceError(detail, { file, fix, cause });
  }
  return new ModelError(detail, { file, fix: 'Check that the file is a complete chat model in GGUF format.', cause });
}
