import { describeShape, describeTensor, type GradientRule, type Tensor } from '../graph.ts';
import { multiply, reshape, subtract } from './arithmetic.ts';
import { exp } from './elementwise.ts';
import type { FrozenMatrix } from './frozen.ts';
import { matmul } from './linear.ts';
import { logSoftmax, pickLast } from './reduction.ts';
import { requireFit, sameShape } from './shapes.ts';

/**
 * Returns the log-probability of one token per row, over the complete vocabulary. The table of logits [rows,
 * vocabulary] is never in memory: the rows come in chunks, which are computed one after the other (ONNX's Scan).
 *
 * The gradient of a row's log-probability is its token's row minus the expected row: table[t] - softmax · table. It
 * does not depend on the upstream gradient, so it is computed in the same pass, while the logits are available, and
 * only scaled later.
 *
 * @param hidden // [chunks, rows, hidden]
 * @param table the vocabulary's vectors // [vocabulary, hidden]
 * @param tokens // [chunks, rows], int32
 * @param learns whether a gradient is needed, so that its part is computed too
 * @returns // [chunks, rows]
 */
export function tokenLogProbabilities(hidden: Tensor, table: FrozenMatrix, tokens: Tensor, learns: boolean): Tensor {
  const { graph } = hidden;
  if (hidden.shape[2] !== table.shape[1]) {
    const reason = `the hidden size of ${describeTensor(hidden)} is not the one of the table ${describeShape(table.shape)}`;
    throw graph.fault('Scan', reason);
  }
  requireFit(sameShape(hidden.shape.slice(0, 2), tokens.shape), 'Scan', hidden, tokens, 'differ in chunks or rows');
  const gradient: GradientRule = (upstream) => [() => multiply(reshape(upstream, [...tokens.shape, 1]), direction)];
  const whole = table.unpack(hidden); // once for all chunks
  const [result, direction] = scan([hidden, tokens], learns ? gradient : undefined, (h, t) => {
    const logs = logSoftmax(matmul(h!, whole, { transposeB: true })); // [rows, vocabulary]
    const ofTokens = pickLast(logs, t!);
    return learns ? [ofTokens, subtract(table.rows(t!), matmul(exp(logs), whole))] : [ofTokens];
  }) as [Tensor, Tensor];
  return result;
}

/**
 * Runs a body for each entry of the inputs' first axis, and stacks the results (ONNX's Scan). The body may use tensors
 * of the enclosing graph.
 */
function scan(
  inputs: readonly Tensor[],
  gradient: GradientRule | undefined,
  build: (...parts: Tensor[]) => readonly Tensor[],
): Tensor[] {
  const { graph } = inputs[0]!;
  const body = graph.body();
  const parts = inputs.map(({ dtype, shape }, index) => body.input(`part ${index}`, dtype, shape.slice(1)));
  for (const [index, result] of build(...parts).entries()) body.output(`result ${index}`, result);
  const outputs = body.outputs.map(({ dtype, shape }) => ({ dtype, shape: [inputs[0]!.shape[0]!, ...shape] }));
  const attributes = { body: { body }, num_scan_inputs: inputs.length };
  return graph.node({ operator: 'Scan', inputs, outputs, attributes, ...(gradient && { gradient }) });
}
