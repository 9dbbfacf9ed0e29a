/** Describes a tensor that need not be read yet. */
export interface TensorInfo {
  name: string;
  /** The format's own name of the element type ("F32", "BF16", "Q4_K"). */
  dtype: string;
  /** Row-major, outermost first; a weight matrix is [out, in]. */
  shape: number[];
}

/** An open checkpoint of any format. Tensors are read one at a time, by position. */
export interface Checkpoint {
  /** The file or folder it was opened from. */
  readonly path: string;
  tensors(): TensorInfo[];
  /**
   * Reads one tensor, row-major, dequantised to 32-bit floats.
   * @throws ModelError if the tensor does not exist or its type is not supported
   */
  read(name: string): Promise<Float32Array>;
  /** The file's metadata: `__metadata__` of safetensors, the key-value pairs of GGUF. */
  metadata(): Record<string, unknown>;
  close(): Promise<void>;
}
