import { DTYPES, type Tensor } from '../graph.ts';
import { multiply, scalar } from './arithmetic.ts';
import { requireFit, sameShape } from './shapes.ts';

/**
 * Sets a share of the numbers to 0 and scales the others up, so that the mean stays (Srivastava et al. 2014). The mask is
 * an input of the graph, drawn outside from a seed: a run that is repeated or recomputed drops the same numbers.
 * @param kept 1 keeps a number, 0 drops it // uint8, the shape of x
 */
export function dropout(x: Tensor, kept: Tensor, rate: number): Tensor {
  requireFit(sameShape(x.shape, kept.shape), 'Dropout', x, kept, 'differ in shape');
  const outputs = [{ dtype: x.dtype, shape: x.shape }];
  const mask = x.graph.node({ operator: 'Cast', inputs: [kept], outputs, attributes: { to: DTYPES.float32 } })[0]!;
  return multiply(x, multiply(mask, scalar(x, 1 / (1 - rate))));
}
