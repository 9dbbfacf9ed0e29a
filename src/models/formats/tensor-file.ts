import { type FileHandle, open } from 'node:fs/promises';
import {
  LlmQeError,
  ModelError,
  ResourceError,
  refuseStandIn,
  STAND_IN_BYTES,
  systemFault,
} from '../../system/index.ts';
import type { ElementFormat } from './element-formats.ts';

/** Bytes to read and convert at a time: a large tensor needs little memory beyond its own size. */
const CHUNK_BYTES = 16 * 1024 * 1024;

const MAX_ID_LENGTH = 200;

const DAMAGED =
  'The file is damaged or incomplete. Download it again; for a model of the store: `llm-qe models pull NAME --verify`.';

/** Where a tensor is in a file. */
export interface TensorPlace {
  name: string;
  /** Bytes from the start of the file. */
  position: number;
  /** Number of elements. */
  count: number;
}

/** A file that holds tensors. It is read by position, never more than requested. */
export class TensorFile {
  readonly path: string;
  /** Size in bytes when the file was opened. */
  readonly size: number;
  readonly #handle: FileHandle;

  private constructor(path: string, size: number, handle: FileHandle) {
    this.path = path;
    this.size = size;
    this.#handle = handle;
  }

  /** @throws ModelError if there is no such file or it is not a regular file */
  static async open(path: string): Promise<TensorFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, 'r');
      const status = await handle.stat();
      if (!status.isFile())
        throw new ModelError('is not a regular file', { file: path, fix: 'Choose a checkpoint file.' });
      await refuseStandInAt(handle, path);
      return new TensorFile(path, status.size, handle);
    } catch (error) {
      await handle?.close();
      throw missingModel(error, path);
    }
  }

  /**
   * Reads `length` bytes at `position` into a new buffer (so that typed arrays over it are aligned).
   * @throws ModelError if the file ends before that
   */
  async read(position: number, length: number, id?: string): Promise<Uint8Array> {
    if (position + length > this.size) this.fail(`ends at byte ${this.size}, before byte ${position + length}`, id);
    const bytes = allocate(() => new Uint8Array(length), this.path, id);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.#readSome(bytes, done, position + done);
      if (bytesRead === 0) this.fail('shrank while it was read', id);
      done += bytesRead;
    }
    return bytes;
  }

  async #readSome(bytes: Uint8Array, done: number, position: number) {
    try {
      return await this.#handle.read(bytes, done, Math.min(bytes.length - done, 1 << 30), position);
    } catch (error) {
      throw systemFault(error, this.path);
    }
  }

  /** Reads a tensor and converts it to 32-bit floats. Its size has been checked against the file. */
  async readFloats(place: TensorPlace, format: ElementFormat): Promise<Float32Array> {
    const { name, position, count } = place;
    const blocks = count / format.blockSize;
    if (position + blocks * format.blockBytes > this.size)
      this.fail('the tensor reaches beyond the end of the file', name);
    const values = allocate(() => new Float32Array(count), this.path, name);
    const blocksAtOnce = Math.max(1, Math.floor(CHUNK_BYTES / format.blockBytes));
    for (let block = 0; block < blocks; block += blocksAtOnce) {
      const taken = Math.min(blocksAtOnce, blocks - block);
      const bytes = await this.read(position + block * format.blockBytes, taken * format.blockBytes, name);
      format.decode(bytes, values.subarray(block * format.blockSize, (block + taken) * format.blockSize));
    }
    return values;
  }

  /** @throws ModelError always */
  fail(reason: string, id?: string, fix: string = DAMAGED): never {
    // A name from a damaged file can be megabytes long.
    throw new ModelError(reason, { file: this.path, id: id?.slice(0, MAX_ID_LENGTH), fix });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function refuseStandInAt(handle: FileHandle, path: string): Promise<void> {
  const { bytesRead, buffer } = await handle.read(new Uint8Array(STAND_IN_BYTES), 0, STAND_IN_BYTES, 0);
  refuseStandIn(buffer.subarray(0, bytesRead), path, ModelError, expectedKind(path));
}

function expectedKind(path: string): string | undefined {
  if (path.endsWith('.gguf')) return 'a GGUF file';
  if (path.endsWith('.safetensors')) return 'a safetensors file';
  return /\.(bin|pt|pth)$/.test(path) ? 'a PyTorch checkpoint' : undefined;
}

/** Converts "no such file" to the error for a missing model, and every other fault like {@link systemFault}. */
export function missingModel(error: unknown, path: string): unknown {
  if (error instanceof LlmQeError) return error;
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
    return new ModelError('no such file', { file: path, fix: 'Check the path of the model.', cause: error });
  }
  return systemFault(error, path);
}

function allocate<T>(make: () => T, file: string, id: string | undefined): T {
  try {
    return make();
  } catch (cause) {
    throw new ResourceError('not enough memory for the tensor', {
      file,
      id,
      fix: 'Use a smaller model or a machine with more memory.',
      cause,
    });
  }
}

/**
 * Returns the number of elements of a tensor.
 * @returns undefined if a dimension is not a natural number or the product exceeds 2^53
 */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) return undefined;
    count *= dimension;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}
