import { ModelError } from '../../system/index.ts';
import {
  type Dtype,
  describeShape,
  describeTensor,
  type GradientRule,
  type Shape,
  type Tensor,
  type TensorData,
} from '../graph.ts';
import { BLOCK, halves, quantizeBlocks, quantizeRows } from '../matrix.ts';
import { add, cast, multiply, reshape } from './arithmetic.ts';
import { flattenRows, gather, unsqueeze, zeroAfter } from './layout.ts';
import { matmul } from './linear.ts';
import { sizesOf } from './shapes.ts';

/** Rows and columns. In PyTorch's linear layers these are outputs and inputs. */
export type MatrixShape = readonly [rows: number, columns: number];

/** A matrix that is not trained and only needs the memory of its storage. */
export interface FrozenMatrix {
  readonly shape: MatrixShape;
  /**
   * x · matrixᵀ // x [..., columns] → [..., rows]. Its gradient, upstream · matrix, uses the dequantised numbers. The
   * matrix is unpacked again for it, not kept.
   * @throws ModelError if the inner sizes differ
   */
  linear(x: Tensor): Tensor;
  /** Returns the rows at the indices; only these are unpacked // indices [...any] → [...any, columns] */
  rows(indices: Tensor): Tensor;
  /**
   * Returns the matrix as 32-bit floats, once `after` is computed // [rows, columns]. Without this dependency, the
   * runtime would unpack all matrices of a model at load time (constant folding) or before the first operation, and
   * hold them all at once.
   */
  unpack(after: Tensor): Tensor;
}

/** The weights of a storage, by name. */
type Parts<T> = Readonly<Record<string, T>>;

interface StorageFormat {
  parts(shape: MatrixShape): Parts<{ dtype: Dtype; shape: readonly number[] }>;
  pack(matrix: Float32Array, shape: MatrixShape): Parts<TensorData>;
  unpack(parts: Parts<Tensor>, after: Tensor): Tensor;
  rows(parts: Parts<Tensor>, indices: Tensor): Tensor;
}

const f32: StorageFormat = {
  parts: (shape) => ({ values: { dtype: 'float32', shape } }),
  pack: (values) => ({ values }),
  unpack: ({ values }) => values!,
  rows: ({ values }, indices) => gather(values!, indices),
};

const f16: StorageFormat = {
  parts: (shape) => ({ values: { dtype: 'float16', shape } }),
  pack: (matrix) => ({ values: halves(matrix) }),
  unpack({ values }, after) {
    const { dtype, shape } = values!;
    const sizes = add(zeroAfter(after), sizesOf(after.graph, shape));
    const bound = after.graph.node({ operator: 'Reshape', inputs: [values, sizes], outputs: [{ dtype, shape }] });
    return cast(bound[0]!, 'float32');
  },
  rows: ({ values }, indices) => cast(gather(values!, indices), 'float32'),
};

/** Signed bytes, one scale per row. */
const int8: StorageFormat = {
  parts: (shape) => ({ values: { dtype: 'int8', shape }, scale: { dtype: 'float32', shape: [shape[0]] } }),
  pack: (matrix, [, columns]) => ({ ...quantizeRows(matrix, columns) }),
  unpack: ({ values, scale }, after) => dequantize(values!, boundTo(after, scale!), undefined, { axis: 0 }),
  rows({ values, scale }, indices) {
    const steps = cast(gather(values!, indices), 'float32');
    return multiply(steps, unsqueeze(gather(scale!, indices), indices.shape.length));
  },
};

/** Four bits per number, with one scale and one zero point per 32 numbers of a row. */
const int4: StorageFormat = {
  parts([rows, columns]) {
    if (columns % BLOCK !== 0 || (rows * columns) % (2 * BLOCK) !== 0) {
      throw new ModelError(`a matrix of ${rows} x ${columns} cannot be divided into pairs of blocks of ${BLOCK}`, {
        fix: 'Store the frozen weights of this model in int8 or f16.',
      });
    }
    const blocks = [rows, columns / BLOCK];
    return {
      values: { dtype: 'uint4', shape: [rows, columns] },
      scale: { dtype: 'float32', shape: blocks },
      zero: { dtype: 'uint4', shape: blocks },
    };
  },
  pack: (matrix) => ({ ...quantizeBlocks(matrix) }),
  unpack: ({ values, scale, zero }, after) =>
    dequantize(values!, boundTo(after, scale!), zero, { axis: 1, block_size: BLOCK }),
  rows({ values, scale, zero }, indices) {
    const outputs = [{ dtype: 'float32' as const, shape: [...indices.shape, values!.shape[1]!] }];
    const attributes = { block_size: BLOCK, gather_axis: 0, quantize_axis: 1 };
    const inputs = [values, indices, scale, zero];
    const node = { operator: 'GatherBlockQuantized', domain: 'com.microsoft' as const, inputs, outputs, attributes };
    return indices.graph.node(node)[0]!;
  },
};

const FORMATS = { f32, f16, int8, int4 };

/** The storage of a frozen matrix. A number takes 4, 2, 1 or 0.64 bytes. */
export type Storage = keyof typeof FORMATS;
export const STORAGES = Object.keys(FORMATS) as Storage[];

/** Returns the bytes of a matrix in a storage, by the names of its parts. @param matrix row-major // [rows, columns] */
export function packMatrix(storage: Storage, matrix: Float32Array, shape: MatrixShape): Parts<TensorData> {
  return FORMATS[storage].pack(matrix, shape);
}

/**
 * Makes a matrix from the weights that {@link packMatrix} fills.
 * @param weight makes one weight of the graph from a part's name, element type and shape
 * @throws ModelError if the storage does not support the shape
 */
export function frozenMatrix(
  storage: Storage,
  shape: MatrixShape,
  weight: (part: string, dtype: Dtype, shape: readonly number[]) => Tensor,
): FrozenMatrix {
  const format = FORMATS[storage];
  const specified = Object.entries(format.parts(shape));
  const parts = Object.fromEntries(specified.map(([part, { dtype, shape }]) => [part, weight(part, dtype, shape)]));
  const unpack = (after: Tensor) => format.unpack(parts, after);
  return {
    shape,
    unpack,
    linear: (x) => product(x, shape, parts.values!, unpack),
    rows: (indices) => format.rows(parts, indices),
  };
}

function product(x: Tensor, shape: MatrixShape, values: Tensor, unpack: FrozenMatrix['unpack']): Tensor {
  const [rows, columns] = shape;
  if (x.shape.at(-1) !== columns) {
    const reason = `inner sizes of ${describeTensor(x)} and ${values.name} ${describeShape(shape)}, transposed, differ`;
    throw x.graph.fault('MatMul', reason);
  }
  const flat = flattenRows(x);
  const gradient: GradientRule = (upstream) => [() => matmul(upstream, unpack(upstream))];
  const results = flat.graph.node({
    operator: 'FusedMatMul',
    domain: 'com.microsoft',
    inputs: [flat, unpack(flat)],
    outputs: [{ dtype: 'float32', shape: [flat.shape[0]!, rows] }],
    attributes: { transB: 1 },
    gradient,
  });
  const leading: Shape = x.shape.slice(0, -1);
  return leading.length === 1 ? results[0]! : reshape(results[0]!, [...leading, rows]);
}

/** Makes numbers, and everything computed from them, depend on `after`. For small tensors. */
function boundTo(after: Tensor, numbers: Tensor): Tensor {
  return add(cast(zeroAfter(after), 'float32'), numbers);
}

/** (values - zero) · scale */
function dequantize(
  values: Tensor,
  scale: Tensor,
  zero: Tensor | undefined,
  attributes: Record<string, number>,
): Tensor {
  const outputs = [{ dtype: 'float32' as const, shape: values.shape }];
  return scale.graph.node({ operator: 'DequantizeLinear', inputs: [values, scale, zero], outputs, attributes })[0]!;
}

/** Wraps an existing tensor of 32-bit floats as a frozen matrix // [rows, columns] */
export function frozenTensor(values: Tensor): FrozenMatrix {
  const [rows, columns] = values.shape as [number, number];
  return frozenMatrix('f32', [rows, columns], () => values);
}
