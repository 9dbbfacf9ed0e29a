import { type Dimension, describeTensor, type GradientRule, type Tensor } from '../graph.ts';
import { add, binary, expand, reshape, unbroadcast } from './arithmetic.ts';
import { both, less } from './elementwise.ts';
import { flattenRows, transpose } from './layout.ts';
import { joined } from './shapes.ts';

export interface MatmulOptions {
  /** Whether to swap the last two axes of a first. */
  transposeA?: boolean;
  /** Whether to swap the last two axes of b first. */
  transposeB?: boolean;
  /** The factor of the product. */
  scale?: number;
}

/**
 * Matrix product over the last two axes, the others broadcast // [..., m, k] · [..., k, n] → [..., m, n]
 * @throws ModelError if the inner sizes differ
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, scale = 1 } = options;
  // Flatten a batch that is multiplied by one matrix: the gradient of that matrix is then a single product.
  if (a.shape.length > 2 && b.shape.length === 2 && !transposeA) {
    const product = matmul(flattenRows(a), b, options);
    return reshape(product, [...a.shape.slice(0, -1), product.shape[1]!]);
  }
  if (transposeA && !transposeB && worthExchanging(a, b)) {
    return swapped(matmul(b, a, { transposeA, scale }));
  }
  if (transposeA && worthTransposing(a, b, transposeB)) {
    return matmul(transpose(a, [1, 0]), b, { ...options, transposeA: false });
  }
  if (!transposeA && worthGrouping(a, b)) return groupedProduct(a, b, { transposeB, scale });
  const shape = productShape('MatMul', a, b, transposeA, transposeB);
  const gradient: GradientRule = (upstream) => [
    () =>
      unbroadcast(
        transposeA
          ? matmul(b, upstream, { transposeA: transposeB, transposeB: true, scale })
          : matmul(upstream, b, { transposeB: !transposeB, scale }),
        a,
      ),
    () =>
      unbroadcast(
        transposeB
          ? matmul(upstream, a, { transposeA: true, transposeB: transposeA, scale })
          : matmul(a, upstream, { transposeA: !transposeA, scale }),
        b,
      ),
  ];
  const outputs = [{ dtype: a.dtype, shape }];
  if (!transposeA && !transposeB && scale === 1) {
    return a.graph.node({ operator: 'MatMul', inputs: [a, b], outputs, gradient })[0]!;
  }
  const attributes = { transA: Number(transposeA), transB: Number(transposeB), alpha: { float: scale } };
  const fused = { operator: 'FusedMatMul', domain: 'com.microsoft' as const, inputs: [a, b], outputs, attributes };
  return a.graph.node({ ...fused, gradient })[0]!;
}

/**
 * Whether to write the transpose of a out first. The product reads a transposed operand once for each block of columns of the
 * result; with this many columns, that costs more than writing it.
 */
function worthTransposing(a: Tensor, b: Tensor, transposeB: boolean): boolean {
  const columns = b.shape.at(transposeB ? -2 : -1);
  return a.shape.length === 2 && b.shape.length === 2 && typeof columns === 'number' && columns >= MANY_COLUMNS;
}

const MANY_COLUMNS = 256;

/** Whether aᵀ · b is better the transpose of bᵀ · a, because b has fewer columns to transpose: those of a batch's heads, or of a table. */
function worthExchanging(a: Tensor, b: Tensor): boolean {
  const [columns, fewer] = [a.shape.at(-1)!, b.shape.at(-1)!];
  if (a.shape.length > 2) return typeof columns === 'string' && typeof fewer === 'number';
  return typeof columns === 'number' && typeof fewer === 'number' && fewer < columns && fewer >= MANY_COLUMNS;
}

/** Swaps the last two axes. */
function swapped(x: Tensor): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  return transpose(x, [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!]);
}

/** Whether a may have so many rows that they are better taken in groups, which a small product is not worth. */
function worthGrouping(a: Tensor, b: Tensor): boolean {
  const isTable = a.shape.length === 2 && b.shape.length === 2 && typeof a.shape[0] === 'string';
  return isTable && b.shape.every((size) => typeof size === 'number' && size >= MANY_COLUMNS);
}

/**
 * The product of a table and a matrix, with the rows of the table in groups. The runtime reads all rows of a product again for each block
 * of columns; those of a group stay in the processor's cache meanwhile.
 * // a [rows, k], b [k, n] or its transpose → [rows, n]
 */
function groupedProduct(a: Tensor, b: Tensor, { transposeB, scale }: { transposeB: boolean; scale: number }): Tensor {
  const [rows, columns] = productShape('MatMul', a, b, false, transposeB) as [string, number];
  const groups = inGroups(a);
  // With more axes than the groups have, the runtime takes it for a batch and does not join the groups again.
  const matrix = reshape(b, [1, 1, ...b.shape]);
  const gradient: GradientRule = (upstream) => {
    const slope = reshape(upstream, [rows, columns]);
    const [left, right] = transposeB ? ([slope, a] as const) : ([a, slope] as const);
    return [
      () => inGroups(matmul(slope, b, { transposeB: !transposeB, scale })),
      () => reshape(matmul(left, right, { transposeA: true, scale }), matrix.shape),
    ];
  };
  const product = a.graph.node({
    ...{ operator: 'FusedMatMul', domain: 'com.microsoft', inputs: [groups, matrix], gradient },
    outputs: [{ dtype: a.dtype, shape: [1, 1, rows, columns] }],
    attributes: { transB: Number(transposeB), alpha: { float: scale } },
  })[0]!;
  return reshape(product, [rows, columns]);
}

/** The sum of all rows, as a product with ones: the runtime computes a sum over the first axis in few threads // [..., n] → [n] */
export function sumOfRows(x: Tensor): Tensor {
  const { graph } = x;
  const table = flattenRows(x);
  const [rows, columns] = table.shape as [Dimension, Dimension];
  const ones = graph.once(`ones for ${rows}`, () => expand(graph.constant(Float32Array.of(1), [1, 1]), [1, rows]));
  return reshape(matmul(ones, table), [columns]);
}

/** Cuts a table into groups of rows. How many is known when the graph runs; the shape says one // [rows, k] → [1, rows, k] */
function inGroups(x: Tensor): Tensor {
  const { graph, shape } = x;
  const [rows, inner] = shape as [string, number];
  const sizes = graph.once(`rows of a group of ${rows}`, () => rowsOfGroup(x));
  const target = joined(graph, [graph.size(-1), sizes, graph.size(inner)]);
  const gradient: GradientRule = (upstream) => [() => reshape(upstream, shape)];
  const outputs = [{ dtype: x.dtype, shape: [1, rows, inner] }];
  return graph.node({ operator: 'Reshape', inputs: [x, target], outputs, gradient })[0]!;
}

/** Returns how many rows of a table make a group // [1], int64 */
function rowsOfGroup(x: Tensor): Tensor {
  const { graph } = x;
  const whole = (value: number) => graph.constant(BigInt64Array.of(BigInt(value)), [1]);
  const integers = (operator: string, ...inputs: Tensor[]) =>
    graph.node({ operator, inputs, outputs: [{ dtype: 'int64', shape: [1] }] })[0]!;
  const rows = graph.node({
    ...{ operator: 'Shape', inputs: [x], attributes: { start: 0, end: 1 } },
    outputs: [{ dtype: 'int64', shape: [1] }],
  })[0]!;
  const power = integers('BitwiseAnd', rows, integers('Neg', rows)); // the largest power of two that divides the rows
  const size = integers('Min', power, whole(GROUP.most));
  const isWorthIt = both(less(whole(GROUP.least - 1), size), less(whole(GROUP.worthwhile - 1), rows));
  return integers('Where', isWorthIt, size, rows);
}

/** Rows of a group, and of a table that is worth cutting. If too small a power of two divides the rows, they stay in one piece. */
const GROUP = { least: 128, most: 512, worthwhile: 2048 };

/** x · weight + bias // x [..., in], weight [in, out], bias [out] → [..., out] */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const product = matmul(x, weight);
  return bias === undefined ? product : add(product, bias);
}

/**
 * x · weightᵀ + bias, with the bias added while the product is written (ONNX's Gemm), which saves a pass over the
 * result.
 * // x [..., in], weight [out, in], bias [out] → [..., out]
 */
export function affine(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  if (x.shape.length > 2)
    return reshape(affine(flattenRows(x), weight, bias), [...x.shape.slice(0, -1), bias.shape[0]!]);
  if (worthGrouping(x, weight)) return addToRows(matmul(x, weight, { transposeB: true }), bias);
  const gradient: GradientRule = (upstream) => [
    () => matmul(upstream, weight),
    () => matmul(upstream, x, { transposeA: true }),
    () => sumOfRows(upstream),
  ];
  const outputs = [{ dtype: x.dtype, shape: productShape('Gemm', x, weight, false, true) }];
  const attributes = { transA: 0, transB: 1 };
  return x.graph.node({ operator: 'Gemm', inputs: [x, weight, bias], outputs, attributes, gradient })[0]!;
}

/** x + bias // x [rows, out], bias [out] */
function addToRows(x: Tensor, bias: Tensor): Tensor {
  return binary('Add', x, bias, (upstream) => [() => upstream, () => sumOfRows(upstream)]);
}

/**
 * Returns the shape of a matrix product.
 * @throws ModelError if the inner sizes differ or the batches do not broadcast
 */
export function productShape(
  operator: string,
  a: Tensor,
  b: Tensor,
  transposeA = false,
  transposeB = false,
): Tensor['shape'] {
  const [rows, inner] = transposeA ? [a.shape.at(-1), a.shape.at(-2)] : [a.shape.at(-2), a.shape.at(-1)];
  const [innerOfB, columns] = transposeB ? [b.shape.at(-1), b.shape.at(-2)] : [b.shape.at(-2), b.shape.at(-1)];
  if (inner !== innerOfB || inner === undefined) {
    throw a.graph.fault(operator, `inner sizes of ${describeTensor(a)} and ${describeTensor(b)} differ`);
  }
  const batch = (longer: Tensor['shape'], shorter: Tensor['shape']) =>
    longer.map((size, axis) => {
      const other = shorter[axis - longer.length + shorter.length] ?? 1;
      if (size !== other && size !== 1 && other !== 1) {
        throw a.graph.fault(operator, `batches of ${describeTensor(a)} and ${describeTensor(b)} do not broadcast`);
      }
      return size === 1 ? other : size;
    });
  const [batchA, batchB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  return [...(batchA.length >= batchB.length ? batch(batchA, batchB) : batch(batchB, batchA)), rows!, columns!];
}
