import { DTYPES, type Tensor } from '../graph.ts';
import { multiply, scalar } from './arithmetic.ts';
import { requireFit, sameShape } from './shapes.ts';

/**
 * Sets a fraction of the numbers to 0 and scales up the others, which keeps the mean (Srivastava et al. 2014). The mask
 * is an input of the graph, drawn from a seed outside it, so a repeated or recomputed run drops the same numbers.
 * @param kept 1 keeps a number, 0 drops it // uint8, the shape of x
 */
export function dropout(x: Tensor, kept: Tensor, rate: number): Tensor {
  requireFit(sameShape(x.shape, kept.shape), 'Dropout', x, kept, 'differ in shape');
  const outputs = [{ dtype: x.dtype, shape: x.shape }];
  const mask = x.graph.node({ operator: 'Cast', inputs: [kept], outputs, attributes: { to: DTYPES.float32 } })[0]!;
  return multiply(x, multiply(mask, scalar(x, 1 / (1 - rate))));
}
