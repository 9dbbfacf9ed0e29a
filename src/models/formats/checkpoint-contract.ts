/** What is known of a tensor without reading it. */
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
   * One tensor, row-major, dequantised to 32-bit floats.
   * @throws ModelError where there is no such tensor, or its type is not supported
   */
  read(name: string): Promise<Float32Array>;
  /** What the file says about itself besides tensors: safetensors' `__metadata__`, GGUF's key-values. */
  metadata(): Record<string, unknown>;
  close(): Promise<void>;
}
