import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Answer, Serve } from '../system/index.ts';
import type { TensorData } from './graph.ts';
import {
  END,
  type LoadRequest,
  type RunRequest,
  type SessionSettings,
  type Value,
  type Values,
  type WorkerStart,
} from './runtime-messages.ts';

/** Serves the sessions of the runtime. Their calls block, which harms nothing in this thread. */
export const serve: Serve<WorkerStart, RunRequest | LoadRequest, Values> = (start) => {
  const sessions = new Sessions(start);
  return {
    answer: (request) => ('load' in request ? sessions.load(request) : sessions.run(request)),
    end: () => sessions.release(),
  };
};

/** The models of one thread, and their runs. */
export class Sessions {
  readonly #start: WorkerStart;
  readonly #open = new Map<string, InferenceSession>();

  constructor(start: WorkerStart) {
    this.#start = start;
  }

  async load({ load }: LoadRequest): Promise<Answer<Values>> {
    for (const model of load) await this.#session(model);
    return { value: {} };
  }

  async run({ model, feeds, results: given }: RunRequest): Promise<Answer<Values>> {
    const session = await this.#session(model);
    if (given !== undefined) {
      await fill(session, tensorsOf(feeds), tensorsOf(given));
      return { value: {} };
    }
    const wanted = session.outputNames.filter((name) => name !== END);
    const outputs = await session.run(tensorsOf(feeds), wanted);
    const results = Object.entries(outputs).map(([name, { type, dims, data }]) => {
      return [name, { dtype: type as Value['dtype'], shape: dims, data: data as TensorData }] as const;
    });
    const transfer = results.map(([, { data }]) => data.buffer as ArrayBuffer);
    return { value: Object.fromEntries(results), transfer };
  }

  async release(): Promise<void> {
    for (const session of this.#open.values()) await session.release();
  }

  /** Returns the session of a model. A failed load is forgotten: close() could not release it. */
  async #session(model: string): Promise<InferenceSession> {
    const known = this.#open.get(model);
    if (known !== undefined) return known;
    const session = await openSession(this.#start.files[model]!, this.#start);
    this.#open.set(model, session);
    return session;
  }
}

/** What the runtime's binding says when it comes to a result that is no tensor. */
const NO_TENSOR = 'Non tensor type';

/** Runs a model and lets it write its results into the given tensors. */
async function fill(session: InferenceSession, feeds: Tensors, results: Tensors): Promise<void> {
  try {
    await session.run(feeds, { ...results, [END]: null });
  } catch (error) {
    if (!String(error).includes(NO_TENSOR)) throw error;
  }
}

type Tensors = Record<string, Tensor>;

/** Wraps arrays, without a copy. */
function tensorsOf(values: Values): Tensors {
  const tensors = Object.entries(values).map(([name, { dtype, data, shape }]) => {
    return [name, new Tensor(dtype, data as Float32Array, shape)] as const;
  });
  return Object.fromEntries(tensors);
}

/**
 * Opens a session. Optimisation stays at `basic`, because higher levels fuse Add and LayerNormalization into an
 * operation that is four times slower on a CPU. The graph itself contains the fused operations that are worthwhile.
 */
function openSession(model: string | Uint8Array, settings: SessionSettings): Promise<InferenceSession> {
  const { threads, prepack, arena, device } = settings;
  const options: InferenceSession.SessionOptions = {
    executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
    graphOptimizationLevel: 'basic',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    enableCpuMemArena: arena,
    // A memory pattern for each shape would need memory in addition to what the arena took before.
    enableMemPattern: false,
    logSeverityLevel: 4,
    extra: { session: { disable_prepacking: prepack ? '0' : '1' } },
  };
  return typeof model === 'string' ? InferenceSession.create(model, options) : InferenceSession.create(model, options);
}
