import { describeTensor, type GradientRule, type Tensor } from '../graph.ts';
import { add, reshape, unbroadcast } from './arithmetic.ts';
import { flattenRows, transpose } from './layout.ts';

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
  if (transposeA && worthTransposing(a, b, transposeB)) {
    return matmul(transpose(a, [1, 0]), b, { ...options, transposeA: false });
  }
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
  const gradient: GradientRule = (upstream) => [
    () => matmul(upstream, weight),
    () => matmul(upstream, x, { transposeA: true }),
    () => unbroadcast(upstream, bias),
  ];
  const outputs = [{ dtype: x.dtype, shape: productShape('Gemm', x, weight, false, true) }];
  const attributes = { transA: 0, transB: 1 };
  return x.graph.node({ operator: 'Gemm', inputs: [x, weight, bias], outputs, attributes, gradient })[0]!;
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
