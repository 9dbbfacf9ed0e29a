import type { Checkpoint, TensorInfo } from './checkpoint-contract.ts';
import { unknownTensor } from './checkpoint-index.ts';
import { GGML_FORMATS } from './dequantize.ts';
import { type GgufHeader, type GgufTensor, readGgufHeader } from './gguf-header.ts';
import { TensorFile } from './tensor-file.ts';

/**
 * Opens a GGUF file. Shapes are row-major ([out, in]), and {@link Checkpoint.metadata} holds every key of the file.
 * Tensors of types that cannot be dequantised are listed; reading one is an error.
 * @throws ModelError
 */
export async function openGguf(path: string): Promise<Checkpoint> {
  const file = await TensorFile.open(path);
  try {
    return new GgufCheckpoint(file, await readGgufHeader(file));
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Reads the metadata of a GGUF file as bytes, each value after its type number, to write into another file.
 * @throws ModelError
 */
export async function readGgufMetadataBytes(path: string): Promise<Map<string, Uint8Array>> {
  const file = await TensorFile.open(path);
  try {
    const { metadataPlaces } = await readGgufHeader(file);
    const values = new Map<string, Uint8Array>();
    for (const [key, { start, end }] of metadataPlaces) values.set(key, await file.read(start, end - start, key));
    return values;
  } finally {
    await file.close();
  }
}

class GgufCheckpoint implements Checkpoint {
  readonly #file: TensorFile;
  readonly #header: GgufHeader;
  readonly #tensors: Map<string, GgufTensor>;

  constructor(file: TensorFile, header: GgufHeader) {
    this.#file = file;
    this.#header = header;
    this.#tensors = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
  }

  get path(): string {
    return this.#file.path;
  }

  tensors(): TensorInfo[] {
    return this.#header.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  }

  async read(name: string): Promise<Float32Array> {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw unknownTensor(this.path, name);
    const format = GGML_FORMATS[tensor.dtype];
    if (format === undefined) {
      const readable = Object.keys(GGML_FORMATS).filter((dtype) => !dtype.startsWith('I'));
      this.#file.fail(
        `the tensor type ${tensor.dtype} cannot be read`,
        name,
        `Use a file of the same model in one of these types: ${readable.join(', ')}.`,
      );
    }
    return this.#file.readFloats(
      { name, position: this.#header.dataStart + tensor.offset, count: tensor.count },
      format,
    );
  }

  metadata(): Record<string, unknown> {
    return Object.fromEntries(this.#header.metadata);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
