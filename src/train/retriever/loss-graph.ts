import {
  compileModel,
  Graph,
  gradients,
  operations as ops,
  Runtime,
  type Tensor,
  type Value,
  type Values,
} from '../../nn/index.ts';
import { type ContrastiveLossSettings, contrastiveLoss, PROJECTION } from './contrastive-losses.ts';

const GRADIENT = 'gradient/';

/** The loss over given vectors, and its gradients with respect to them and to the projection, as a small graph of its own. */
export class LossGraph {
  readonly #runtime: Runtime;
  readonly #inputs: readonly string[];
  readonly #hidden: number;
  readonly #projected: boolean;

  private constructor(runtime: Runtime, graph: Graph, hidden: number, projected: boolean) {
    this.#runtime = runtime;
    this.#inputs = graph.inputs.map(({ name }) => name);
    this.#hidden = hidden;
    this.#projected = projected;
  }

  static async open(
    settings: ContrastiveLossSettings,
    {
      hidden,
      threads,
      cache,
      signal,
    }: { hidden: number; threads: number; cache: string; signal?: AbortSignal | undefined },
  ): Promise<LossGraph> {
    const graph = new Graph();
    const vectors = graph.input('vectors', 'float32', ['texts', hidden]);
    const { loss, outputs } = contrastiveLoss(vectors, settings);
    const wanted: Tensor[] = settings.projected ? [graph.input(PROJECTION, 'float32', [hidden, hidden])] : [vectors];
    const found = gradients([{ tensor: loss, gradient: ops.scalar(loss, 1) }], wanted);
    graph.output('loss', loss);
    graph.output('similarities result', outputs.similarities);
    wanted.forEach(({ name }, index) => {
      graph.output(`${GRADIENT}${name}`, found[index]!);
    });
    const { file } = await compileModel(graph, new Map(), { cache, fingerprint: 'contrastive loss', signal });
    return new LossGraph(await Runtime.open(file, { threads }), graph, hidden, settings.projected);
  }

  /**
   * @param vectors pooled, not normalised // [texts, hidden]; handed over
   * @param inputs all others that the loss may ask for
   */
  async run(
    vectors: Float32Array,
    inputs: Values,
    projection?: Float32Array,
  ): Promise<{ loss: number; similarities: Value; gradient: Float32Array }> {
    const given: Values = { ...inputs, vectors: this.#table(vectors) };
    if (projection !== undefined) given[PROJECTION] = this.#table(projection.slice());
    const feeds = Object.fromEntries(this.#inputs.map((name) => [name, given[name]!]));
    const results = await this.#runtime.run(feeds);
    const gradient = results[`${GRADIENT}${this.#projected ? PROJECTION : 'vectors'}`]!.data as Float32Array;
    return { loss: Number(results.loss!.data[0]), similarities: results['similarities result']!, gradient };
  }

  close(): Promise<void> {
    return this.#runtime.close();
  }

  #table(data: Float32Array): Value {
    return { dtype: 'float32', shape: [data.length / this.#hidden, this.#hidden], data };
  }
}
