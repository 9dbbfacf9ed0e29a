import type { Checkpoint, TensorInfo } from './checkpoint-contract.ts';
import { openSharded, unknownTensor } from './checkpoint-index.ts';
import { elementCount, TensorFile } from './tensor-file.ts';
import { type ArchiveEntry, entryStart, listArchive } from './torch-archive.ts';
import { parseTorchPickle, TorchTensor } from './torch-pickle.ts';

/** The pickle of a state dictionary takes about 200 bytes per tensor. */
const MAX_PICKLE_BYTES = 16 * 1024 * 1024;

const SAVE_AGAIN = 'Use the safetensors file of the same model, or load and save it again with PyTorch 1.6 or later.';

/**
 * Opens a PyTorch checkpoint (`torch.save` of a state dictionary, the zip format since PyTorch 1.6). Its pickle is
 * interpreted against a list of permitted names and never executed; every tensor's view is checked against its storage,
 * and every storage against the file. A storage is read by position, only when its tensor is read.
 * @throws ModelError
 */
export async function openTorch(path: string): Promise<Checkpoint> {
  const file = await TensorFile.open(path);
  try {
    await checkKind(file);
    const entries = await listArchive(file);
    await checkByteOrder(file, entries);
    const tensors = stateDictionary(file, parseTorchPickle(path, await readPickle(file, entries)));
    for (const [name, tensor] of tensors) checkView(file, name, tensor, entries);
    return new TorchCheckpoint(file, entries, tensors);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens a sharded PyTorch checkpoint from its `pytorch_model.bin.index.json`. @throws ModelError */
export function openShardedTorch(indexFile: string): Promise<Checkpoint> {
  return openSharded(indexFile, openTorch);
}

class TorchCheckpoint implements Checkpoint {
  readonly #file: TensorFile;
  readonly #entries: Map<string, ArchiveEntry>;
  readonly #tensors: Map<string, TorchTensor>;

  constructor(file: TensorFile, entries: Map<string, ArchiveEntry>, tensors: Map<string, TorchTensor>) {
    this.#file = file;
    this.#entries = entries;
    this.#tensors = tensors;
  }

  get path(): string {
    return this.#file.path;
  }

  tensors(): TensorInfo[] {
    return [...this.#tensors].map(([name, { storage, shape }]) => ({ name, dtype: storage.dtype, shape: [...shape] }));
  }

  async read(name: string): Promise<Float32Array> {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw unknownTensor(this.path, name);
    const start = await entryStart(this.#file, this.#entries.get(`data/${tensor.storage.key}`)!);
    const { format } = tensor.storage;
    const position = start + tensor.offset * format.blockBytes;
    const span = await this.#file.readFloats({ name, position, count: spanOf(tensor) }, format);
    return isRowMajor(tensor) ? span : gather(span, tensor);
  }

  metadata(): Record<string, unknown> {
    return {};
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function checkKind(file: TensorFile): Promise<void> {
  const start = await file.read(0, Math.min(4, file.size));
  if (start[0] === 0x50 && start[1] === 0x4b) return;
  // A bare pickle: protocol 2 or later, or the tar file of the earliest versions.
  if (start[0] === 0x80)
    file.fail("is in PyTorch's format from before version 1.6 (not a zip file)", undefined, SAVE_AGAIN);
  file.fail('is not a PyTorch checkpoint (not a zip file)', undefined, SAVE_AGAIN);
}

async function checkByteOrder(file: TensorFile, entries: Map<string, ArchiveEntry>): Promise<void> {
  const entry = entries.get('byteorder');
  if (entry === undefined) return;
  const text = new TextDecoder().decode(await file.read(await entryStart(file, entry), Math.min(entry.size, 16)));
  if (text !== 'little')
    file.fail(`has the byte order ${JSON.stringify(text)}; only "little" can be read`, undefined, SAVE_AGAIN);
}

async function readPickle(file: TensorFile, entries: Map<string, ArchiveEntry>): Promise<Uint8Array> {
  const entry = entries.get('data.pkl')!;
  if (entry.size > MAX_PICKLE_BYTES) file.fail(`its pickle has ${entry.size} bytes (the limit is ${MAX_PICKLE_BYTES})`);
  return file.read(await entryStart(file, entry), entry.size, entry.name);
}

/** Returns the tensors by name, without the dictionary's other values (step counters). */
function stateDictionary(file: TensorFile, pickled: unknown): Map<string, TorchTensor> {
  const inner = pickled instanceof Map ? pickled.get('state_dict') : undefined;
  const dictionary = inner instanceof Map ? inner : pickled;
  const tensors = new Map<string, TorchTensor>();
  if (dictionary instanceof Map) {
    for (const [name, value] of dictionary) {
      if (typeof name === 'string' && value instanceof TorchTensor) tensors.set(name, value);
    }
  }
  if (tensors.size === 0) file.fail('holds no named tensors', undefined, 'Save the state dictionary of the model.');
  return tensors;
}

function checkView(file: TensorFile, name: string, tensor: TorchTensor, entries: Map<string, ArchiveEntry>): void {
  const { storage, shape, offset } = tensor;
  const entry = entries.get(`data/${storage.key}`);
  if (entry === undefined) file.fail(`its storage data/${storage.key} is missing from the archive`, name);
  if (entry.size !== storage.count * storage.format.blockBytes) {
    file.fail(
      `its storage has ${entry.size} bytes, but should hold ${storage.count} elements of ${storage.dtype}`,
      name,
    );
  }
  const count = elementCount(shape);
  // A view that repeats elements could claim more memory than the file has bytes.
  if (count === undefined || count > storage.count) {
    file.fail(`the shape [${shape}] has more elements than its storage (${storage.count})`, name, SAVE_AGAIN);
  }
  if (offset + spanOf(tensor) > storage.count) file.fail('the tensor reaches beyond its storage', name);
}

/** Elements from the first to the last of a tensor, both included. */
function spanOf({ shape, strides }: TorchTensor): number {
  if (shape.includes(0)) return 0;
  return 1 + shape.reduce((sum, size, dimension) => sum + (size - 1) * strides[dimension]!, 0);
}

function isRowMajor({ shape, strides }: TorchTensor): boolean {
  let expected = 1;
  for (let dimension = shape.length - 1; dimension >= 0; dimension--) {
    if (shape[dimension] !== 1 && strides[dimension] !== expected) return false;
    expected *= shape[dimension]!;
  }
  return true;
}

/** Copies a strided view into row-major order. */
function gather(span: Float32Array, { shape, strides }: TorchTensor): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  const index = shape.map(() => 0);
  let source = 0;
  for (let i = 0; i < values.length; i++) {
    values[i] = span[source]!;
    // Count up, the last dimension fastest, and move the source position with it.
    for (let dimension = shape.length - 1; dimension >= 0; dimension--) {
      source += strides[dimension]!;
      if (++index[dimension]! < shape[dimension]!) break;
      source -= strides[dimension]! * shape[dimension]!;
      index[dimension] = 0;
    }
  }
  return values;
}
