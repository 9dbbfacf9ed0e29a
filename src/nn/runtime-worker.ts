import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Answer, Serve } from '../system/index.ts';
import type { TensorData } from './graph.ts';
import type { LoadRequest, RunRequest, SessionSettings, Value, Values, WorkerStart } from './runtime-messages.ts';

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

  async run({ model, feeds }: RunRequest): Promise<Answer<Values>> {
    const session = await this.#session(model);
    const tensors = Object.entries(feeds).map(([name, { dtype, data, shape }]) => {
      return [name, new Tensor(dtype, data as Float32Array, shape)] as const;
    });
    const outputs = await session.run(Object.fromEntries(tensors));
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

/**
 * Opens a session. Optimisation stays at `basic`, because higher levels fuse Add and LayerNormalization into an
 * operation that is four times slower on a CPU. The graph itself contains the fused operations that are worthwhile.
 */
function openSession(file: string, settings: SessionSettings): Promise<InferenceSession> {
  const { threads, prepack, arena, device } = settings;
  return InferenceSession.create(file, {
    executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
    graphOptimizationLevel: 'basic',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    enableCpuMemArena: arena,
    // A memory pattern for each shape would need memory in addition to what the arena took before.
    enableMemPattern: false,
    logSeverityLevel: 4,
    extra: { session: { disable_prepacking: prepack ? '0' : '1' } },
  });
}
