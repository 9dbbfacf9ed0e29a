import { type Graph, operations as ops, type Tensor } from '../../nn/index.ts';
import { FORBIDDEN } from './loss-inputs.ts';
import type { RetrieverMethod } from './retriever-settings.ts';

/** What the loss of a batch is made of, as far as the graph depends on it. */
export interface ContrastiveLossSettings {
  method: Exclude<RetrieverMethod, 'ridge'>;
  similarity: 'cosine' | 'dot';
  /** Whether each text's vector has length 1 before vectors are averaged. */
  normalize: boolean;
  temperature: number;
  infonceWeight: number;
  matryoshka?: readonly number[] | undefined;
  absoluteMargin?: number | undefined;
  relativeMargin?: number | undefined;
  /** Documents come as vectors of a frozen encoder, and no gradient goes to them. */
  frozenDocuments: boolean;
  /** Queries pass through a linear map that is trained. */
  projected: boolean;
}

/** The map of a projection, as the weights' names go: query · (1 + map). */
export const PROJECTION = 'projection.weight';

/**
 * The loss of one whole batch over the vectors of its texts, in which every document of the batch is a candidate of every query.
 *
 * With s the similarities of query and document, τ the temperature, + the positive of a query and w the share of InfoNCE; each a
 * mean over queries, but for margin-mse, which is one over pairs of query and negative:
 * - `infonce`: -ln (exp(s₊/τ) / Σ exp(s/τ)) over the documents that may count as negatives (van den Oord et al. 2018)
 * - `distil`: ‖q - t‖², t being the teacher's vector (SoftQE, Pimpalkhute et al. 2024), + w · infonce
 * - `margin-mse`: ((s₊ - s₋) - (teacher's s₊ - s₋))² (Hofstätter et al. 2020, arXiv 2010.02666) + w · infonce
 * - `kl`: Σ p ln (p / softmax(s/τ)) over the documents of the query's own group, p being the teacher's softmax, + w · infonce
 *
 * Inputs in addition to `vectors`: `mix` [queries, texts], the share of each text in each query; `columns` [documents] int32, the rows of
 * the documents, or `documents` [documents, hidden], frozen; `targets` [queries] int32; `bias` [queries, documents], which forbids
 * documents; `own` [queries, documents], 1 at the positive; `share` [], 1 / queries. By method: `teacher` [queries, hidden]; `pairs`
 * and `margins` [queries, documents]; `group` and `probabilities` [queries, documents], `entropy` [].
 *
 * @param vectors pooled, not normalised // [texts, hidden]
 */
export function contrastiveLoss(
  vectors: Tensor,
  settings: ContrastiveLossSettings,
): { loss: Tensor; outputs: { similarities: Tensor } } {
  const { graph } = vectors;
  return graph.scope('loss', () => {
    const hidden = Number(vectors.shape[1]);
    const parts = (settings.matryoshka ?? [hidden]).map((size) => lossOfSize(vectors, size, settings));
    const loss = parts.map((part) => part.loss).reduce((sum, part) => ops.add(sum, part));
    return { loss, outputs: { similarities: parts[0]!.similarities } };
  });
}

function lossOfSize(vectors: Tensor, size: number, settings: ContrastiveLossSettings) {
  const { graph } = vectors;
  const { queries, documents } = sidesOf(vectors, size, settings);
  const similarities = ops.matmul(queries, documents, { transposeB: true }); // [queries, documents]
  const contrast = () => infonce(similarities, settings);
  const mixed = (own: Tensor) => {
    const weight = settings.infonceWeight;
    return weight === 0 ? own : ops.add(own, scaled(contrast(), weight));
  };
  const hidden = vectors.shape[1]!;
  switch (settings.method) {
    case 'infonce':
      return { loss: contrast(), similarities };
    case 'distil': {
      const teacher = lengthOne(firstOf(graph.input('teacher', 'float32', ['queries', hidden]), size), settings);
      const distance = ops.subtract(queries, teacher);
      return {
        loss: mixed(ops.multiply(ops.reduceSum(ops.multiply(distance, distance), [0, 1]), share(graph))),
        similarities,
      };
    }
    case 'margin-mse':
      return { loss: mixed(marginLoss(similarities)), similarities };
    case 'kl':
      return { loss: mixed(listLoss(similarities, settings)), similarities };
  }
}

/** Vectors of queries // [queries, size], and of documents // [documents, size], as they are compared. */
function sidesOf(
  vectors: Tensor,
  size: number,
  settings: ContrastiveLossSettings,
): { queries: Tensor; documents: Tensor } {
  const { graph } = vectors;
  const hidden = Number(vectors.shape[1]);
  const texts = textsOf(firstOf(vectors, size), settings);
  const mix = graph.input('mix', 'float32', ['queries', 'texts']);
  const ofQueries = settings.projected ? textsOf(firstOf(projected(vectors, hidden), size), settings) : texts;
  const queries = lengthOne(ops.matmul(mix, ofQueries), settings);
  if (settings.frozenDocuments) {
    const frozen = graph.input('documents', 'float32', ['documents', hidden]);
    return { queries, documents: lengthOne(textsOf(firstOf(frozen, size), settings), settings) };
  }
  const columns = graph.input('columns', 'int32', ['documents']);
  return { queries, documents: lengthOne(ops.gather(texts, columns), settings) };
}

function projected(vectors: Tensor, hidden: number): Tensor {
  const map = vectors.graph.input(PROJECTION, 'float32', [hidden, hidden]);
  return ops.add(vectors, ops.matmul(vectors, map, { transposeB: true }));
}

function firstOf(vectors: Tensor, size: number): Tensor {
  return size === vectors.shape[1] ? vectors : ops.slice(vectors, 1, 0, size);
}

function textsOf(vectors: Tensor, { normalize }: ContrastiveLossSettings): Tensor {
  return normalize ? ops.l2Normalize(vectors) : vectors;
}

function lengthOne(vectors: Tensor, { similarity }: ContrastiveLossSettings): Tensor {
  return similarity === 'cosine' ? ops.l2Normalize(vectors) : vectors;
}

/** 1 / queries of the whole batch // [] */
function share(graph: Graph): Tensor {
  return graph.input('share', 'float32', []);
}

function square(graph: Graph, name: string): Tensor {
  return graph.input(name, 'float32', ['queries', 'documents']);
}

function positives(similarities: Tensor): Tensor {
  return ops.pickLast(similarities, similarities.graph.input('targets', 'int32', ['queries'])); // [queries]
}

function infonce(similarities: Tensor, settings: ContrastiveLossSettings): Tensor {
  const { graph } = similarities;
  const allowed = ops.add(scaled(similarities, 1 / settings.temperature), square(graph, 'bias'));
  const logits = withoutFalseNegatives(similarities, allowed, settings);
  return ops.negate(ops.multiply(ops.reduceSum(positives(ops.logSoftmax(logits)), 0), share(graph)));
}

/** Forbids negatives that the model itself holds to be nearly as good as the positive. */
function withoutFalseNegatives(
  similarities: Tensor,
  logits: Tensor,
  { absoluteMargin, relativeMargin }: ContrastiveLossSettings,
): Tensor {
  const { graph } = similarities;
  const limits = (positive: Tensor): Tensor[] => [
    ...(absoluteMargin === undefined ? [] : [ops.add(positive, ops.scalar(positive, -absoluteMargin))]),
    // The lesser of both, as a negative similarity less a part of its size is not 1 - X times it.
    ...(relativeMargin === undefined
      ? []
      : [scaled(positive, 1 - relativeMargin), scaled(positive, 1 + relativeMargin)]),
  ];
  return limits(positives(similarities)).reduce((kept, limit) => {
    const tooGood = ops.less(
      ops.unsqueeze(limit, 1),
      ops.subtract(similarities, scaled(square(graph, 'own'), -FORBIDDEN)),
    );
    return ops.where(tooGood, ops.scalar(kept, FORBIDDEN), kept);
  }, logits);
}

function marginLoss(similarities: Tensor): Tensor {
  const { graph } = similarities;
  const margin = ops.subtract(ops.unsqueeze(positives(similarities), 1), similarities);
  const distance = ops.subtract(margin, square(graph, 'margins'));
  return ops.reduceSum(ops.multiply(ops.multiply(distance, distance), square(graph, 'pairs')), [0, 1]);
}

function listLoss(similarities: Tensor, { temperature }: ContrastiveLossSettings): Tensor {
  const { graph } = similarities;
  const logs = ops.logSoftmax(ops.add(scaled(similarities, 1 / temperature), square(graph, 'group')));
  const crossed = ops.reduceSum(ops.multiply(square(graph, 'probabilities'), logs), [0, 1]);
  const whole = ops.subtract(graph.input('entropy', 'float32', []), crossed);
  return ops.multiply(whole, share(graph));
}

function scaled(x: Tensor, factor: number): Tensor {
  return factor === 1 ? x : ops.multiply(x, ops.scalar(x, factor));
}
