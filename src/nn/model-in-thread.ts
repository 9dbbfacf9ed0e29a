import { refuseIfSlim } from '../system/index.ts';
import type { Graph } from './graph.ts';
import { writeWholeOnnxModel } from './onnx-model.ts';
import { runFault } from './runtime.ts';
import type { Values } from './runtime-messages.ts';
import type { Sessions } from './runtime-worker.ts';

/** A compiled model that runs in the caller's thread: for models that run in less time than a worker thread needs to start. */
export class ModelInThread {
  readonly #name: string;
  readonly #model: string | Uint8Array;
  /** Opened by the first run. */
  #sessions: Promise<Sessions> | undefined;

  /**
   * @param model a file, or the model itself
   * @param name stands for the model in error messages
   */
  constructor(model: string | Uint8Array, name = typeof model === 'string' ? model : 'model') {
    [this.#name, this.#model] = [name, model];
  }

  /** Makes a model of a graph without weights; it is in no file. */
  static of(graph: Graph, name: string): ModelInThread {
    return new ModelInThread(writeWholeOnnxModel(graph, new Map()), name);
  }

  /**
   * Runs the model once; the first run loads it. The inputs are only read.
   * @param results memory for all results, if the graph fills it
   * @throws ModelError if an operation fails; names it
   */
  async run(feeds: Values, results?: Values): Promise<Values> {
    this.#sessions ??= this.#open();
    const sessions = await this.#sessions;
    try {
      const { value } = await sessions.run({ model: this.#name, feeds, results });
      return results ?? value;
    } catch (error) {
      throw runFault(this.#name, error instanceof Error ? error.message : String(error));
    }
  }

  async close(): Promise<void> {
    await (await this.#sessions)?.release();
  }

  async #open(): Promise<Sessions> {
    refuseIfSlim('onnxruntime-node', 'a computation in this process');
    const { Sessions } = await import('./runtime-worker.ts');
    const files = { [this.#name]: this.#model };
    return new Sessions({ files, threads: 1, prepack: true, arena: true, device: 'cpu' });
  }
}
