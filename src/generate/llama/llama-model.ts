import { availableParallelism } from 'node:os';
import type { Llama, LlamaModel } from 'node-llama-cpp';
import { AbortedError, isAbort, LlmQeError, ModelError, ResourceError } from '../../system/index.ts';
import type { LoadedAdapter } from './adapters.ts';
import { Lane } from './lane.ts';
import { LlamaSequences } from './llama-context.ts';
import { firstLine, openLlama, planLanes } from './llama-runtime.ts';

/** How a model is run; see the options of `loadGenerator`. */
export interface LlamaSettings {
  sequences?: number | undefined;
  threads?: number | undefined;
  contextSize?: number | undefined;
  deterministic?: boolean | undefined;
  gpu?: false | 'auto' | undefined;
}

/** What of the model's file matters to running it. */
export interface LlamaFile {
  path: string;
  vocabularySize: number;
  adapters: readonly LoadedAdapter[];
}

const DEFAULT_SEQUENCES = 32;
export const DEFAULT_CONTEXT = 1024;

/** Prompt tokens in one step: on a processor a step must stay short enough to be stopped within a second. */
const PROMPT_TOKENS_PER_STEP = { cpu: 64, gpu: 512 };

/** A lane and the context that it drives. */
export interface OpenLane {
  lane: Lane;
  context: LlamaSequences;
}

/** A model's weights in memory, and the lanes that write with them. */
export interface OpenLlamaModel {
  model: LlamaModel;
  lanes: OpenLane[];
  close(): Promise<void>;
}

/**
 * Loads the weights and makes the contexts.
 *
 * @throws ModelError for a file that llama.cpp does not take; ResourceError when it does not fit into memory
 */
export async function openLlamaModel(
  file: LlamaFile,
  settings: LlamaSettings,
  signal?: AbortSignal,
): Promise<OpenLlamaModel> {
  const llama = await openLlama(settings.gpu ?? false);
  const model = await loadModel(llama, file.path, settings, signal);
  try {
    const lanes = await openLanes(model, file, settings);
    const close = async (): Promise<void> => {
      for (const { context } of lanes.splice(0)) await context.close();
      await model.dispose();
    };
    return { model, lanes, close };
  } catch (error) {
    await model.dispose();
    throw error;
  }
}

/** Loads the weights. @throws ModelError, ResourceError, AbortedError */
export async function loadModel(
  llama: Llama,
  path: string,
  { gpu }: LlamaSettings,
  signal: AbortSignal | undefined,
): Promise<LlamaModel> {
  if (signal?.aborted) throw new AbortedError();
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

async function openLanes(model: LlamaModel, file: LlamaFile, settings: LlamaSettings): Promise<OpenLane[]> {
  const { sequences = DEFAULT_SEQUENCES, threads = availableParallelism(), deterministic = false } = settings;
  const gpu = Boolean(settings.gpu) && model.gpuLayers > 0;
  const plan = planLanes({ sequences, threads, deterministic, gpu });
  const size = Math.min(settings.contextSize ?? DEFAULT_CONTEXT, model.trainContextSize);
  const promptTokensPerStep = gpu ? PROMPT_TOKENS_PER_STEP.gpu : PROMPT_TOKENS_PER_STEP.cpu;
  const { adapters, vocabularySize } = file;
  const open: OpenLane[] = [];
  for (let lane = 0; lane < plan.lanes; lane++) {
    try {
      const native = await model.createContext({
        sequences: plan.sequencesPerLane,
        contextSize: size,
        batchSize: plan.sequencesPerLane + promptTokensPerStep,
        threads: plan.threadsPerLane,
        failedCreationRemedy: false,
        ...(adapters.length > 0 && {
          lora: { adapters: adapters.map(({ file: filePath, scale }) => ({ filePath, scale })) },
        }),
      });
      const context = new LlamaSequences(native, { threads: plan.threadsPerLane, vocabularySize, size });
      open.push({ context, lane: new Lane(context, laneOptions(model, promptTokensPerStep, deterministic)) });
    } catch (cause) {
      for (const { context } of open) await context.close();
      const reason = `llama.cpp cannot open the model${adapters.length > 0 ? ' with its adapters' : ''}`;
      throw nativeFault(cause, reason, file.path);
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

/** What llama.cpp throws, as an error of ours. */
export function nativeFault(cause: unknown, reason: string, file: string): LlmQeError {
  if (cause instanceof LlmQeError) return cause;
  const detail = `${reason} (${firstLine(cause)})`;
  if (/memory|alloc|VRAM|create context/i.test(firstLine(cause))) {
    const fix = 'Choose fewer sequences or a smaller context, or a smaller model.';
    return new ResourceError(detail, { file, fix, cause });
  }
  return new ModelError(detail, { file, fix: 'Check that the file is a whole chat model in GGUF.', cause });
}
