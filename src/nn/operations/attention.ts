import type { Dimension, Tensor } from '../graph.ts';
import { add, reshape } from './arithmetic.ts';
import { both, either, equal, less, lessOrEqual, where } from './elementwise.ts';
import { range } from './layout.ts';
import { matmul } from './linear.ts';
import { softmax } from './reduction.ts';
import { requireFit, sameShape } from './shapes.ts';

/**
 * Multi-head self-attention, fused with the product for query, key and value: the products are written directly into
 * the layout [batch, heads, sequence, head].
 *
 * @param x // [batch, sequence, hidden]
 * @param weight query, key and value side by side // [hidden, 3 · hidden]
 * @param bias // [3 · hidden]
 * @param lengths the number of tokens of each text; the rest is padding // [batch], int32; undefined if all are full
 * @returns // [batch, sequence, hidden]
 */
export function selfAttention(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  lengths: Tensor | undefined,
  heads: number,
): Tensor {
  return x.graph.node({
    operator: 'Attention',
    domain: 'com.microsoft',
    inputs: [x, weight, bias, lengths],
    outputs: [{ dtype: x.dtype, shape: x.shape }],
    attributes: { num_heads: heads },
  })[0]!;
}

/**
 * Grouped-query attention (Ainslie et al. 2023; with one query head per key head, that of Vaswani et al. 2017):
 * softmax(q · kᵀ / √head + mask) · v. Queries that share a key are rows of one product, so no key is copied.
 *
 * @param query // [batch, queryHeads, sequence, head]
 * @param key // [batch, keyHeads, sequence, head]
 * @param value // [batch, keyHeads, sequence, head]
 * @param mask added to the scores // [batch, 1, 1 or sequence, sequence]
 * @returns // [batch, queryHeads, sequence, head]
 */
export function attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor): Tensor {
  const [batch, heads, sequence, size] = query.shape as [string, number, string, number];
  const groups = key.shape[1] as number;
  requireFit(sameShape(key.shape, value.shape), 'attend', key, value, 'differ in shape');
  const fitting = sameShape(key.shape, [batch, groups, sequence, size]) && heads % groups === 0;
  requireFit(
    fitting,
    'attend',
    query,
    key,
    'differ in more than the number of heads, or that number is not a multiple',
  );
  const scale = 1 / Math.sqrt(size);
  const share = heads / groups;
  const rows = share === 1 ? sequence : `${share}·${sequence}`;
  const grouped = share === 1 ? query : reshape(query, [batch, groups, rows, size]);
  const products = matmul(grouped, key, { transposeB: true, scale });
  const scores = add(share === 1 ? products : reshape(products, [batch, heads, sequence, sequence]), mask);
  const shares = softmax(scores);
  const mixed = matmul(share === 1 ? shares : reshape(shares, [batch, groups, rows, sequence]), value);
  return share === 1 ? mixed : reshape(mixed, [batch, heads, sequence, size]);
}

/** Added to the score of a hidden key: its softmax is 0 next to any other, and no row becomes NaN. */
const HIDDEN = -1e9;

/**
 * Makes a causal mask over packed texts with shared beginnings. A token sees the earlier tokens of its own text that
 * are in the text's trunk (branch 0) or in its own branch. So a prompt is computed once for several completions.
 *
 * @param text the text of each token // [batch, sequence], int32
 * @param branch 0 for the trunk; 1, 2, ... for its continuations // [batch, sequence], int32
 * @returns // [batch, 1, sequence, sequence]
 */
export function branchMask(text: Tensor, branch: Tensor): Tensor {
  const { graph } = text;
  requireFit(sameShape(text.shape, branch.shape), 'branchMask', text, branch, 'differ in shape');
  const [batch, sequence] = text.shape as [string, string];
  const asRow = (x: Tensor) => reshape(x, [batch, 1, 1, sequence]);
  const asColumn = (x: Tensor) => reshape(x, [batch, 1, sequence, 1]);
  const place = range(graph, sequence);
  const earlier = lessOrEqual(reshape(place, [1, 1, 1, sequence]), reshape(place, [1, 1, sequence, 1]));
  const trunk = equal(asRow(branch), graph.constant(Int32Array.of(0), []));
  const ownBranch = equal(asRow(branch), asColumn(branch));
  return hide(both(both(earlier, ofOneText(text)), either(trunk, ownBranch)));
}

/**
 * Makes a mask over packed texts: a token sees the tokens of its own text.
 * @param text the text of each token // [batch, sequence], int32
 * @returns // [batch, 1, sequence, sequence]
 */
export function textMask(text: Tensor): Tensor {
  return hide(ofOneText(text));
}

function ofOneText(text: Tensor): Tensor {
  const [batch, sequence] = text.shape as [string, string];
  return equal(reshape(text, [batch, 1, 1, sequence]), reshape(text, [batch, 1, sequence, 1]));
}

/**
 * Makes a mask that hides padding: a token sees the first `lengths` tokens of its text.
 * @param lengths // [batch], int32
 * @returns // [batch, 1, 1, sequence]
 */
export function paddingMask(lengths: Tensor, sequence: Dimension): Tensor {
  const { graph } = lengths;
  const place = reshape(range(graph, sequence), [1, 1, 1, sequence]);
  return hide(less(place, reshape(lengths, [lengths.shape[0]!, 1, 1, 1])));
}

/** Returns 0 for a visible key, and a very low number for a hidden one. */
function hide(seen: Tensor): Tensor {
  const { graph } = seen;
  const [open, hidden] = [0, HIDDEN].map((value) => graph.constant(Float32Array.of(value), [])) as [Tensor, Tensor];
  return where(seen, open, hidden);
}
