import { Parser } from 'pickleparser';
import { LlmQeError, ModelError } from '../../system/index.ts';
import { type ElementFormat, PLAIN_FORMATS } from './element-formats.ts';

/** A tensor as a PyTorch pickle describes it: a view of a storage. */
export class TorchTensor {
  readonly storage: TorchStorage;
  /** Elements from the start of the storage. */
  readonly offset: number;
  readonly shape: number[];
  /** Elements from one index to the next, for each dimension. */
  readonly strides: number[];

  constructor(storage: TorchStorage, offset: number, shape: number[], strides: number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
    Object.freeze(this);
  }
}

/** A storage: one entry `data/KEY` of the archive. */
export class TorchStorage {
  readonly key: string;
  readonly dtype: string;
  readonly format: ElementFormat;
  /** Number of elements. */
  readonly count: number;

  constructor(key: string, dtype: string, format: ElementFormat, count: number) {
    this.key = key;
    this.dtype = dtype;
    this.format = format;
    this.count = count;
    Object.freeze(this);
  }
}

/** PyTorch's limit is 64 dimensions; models have 4. */
const MAX_DIMENSIONS = 8;

const STORAGE_TYPES: Readonly<Record<string, string>> = {
  'torch.DoubleStorage': 'F64',
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
};

/** A storage class: a global that a pickle names but never calls. */
class StorageType {
  readonly dtype: string;

  constructor(dtype: string) {
    this.dtype = dtype;
    Object.freeze(this);
  }
}

/**
 * Reads the pickle of a PyTorch checkpoint without executing anything: a global that it names must be in a short list
 * (tensors, storages, ordered dictionaries). The instructions are interpreted by `pickleparser`, over a {@link
 * GuardedReader} that allows only those that `torch.save` writes.
 * @returns the pickled value; dictionaries are Maps
 * @throws ModelError if the pickle is broken or names any other global
 */
export function parseTorchPickle(file: string, bytes: Uint8Array): unknown {
  const parser = new Parser({
    unpicklingTypeOfDictionary: 'Map',
    nameResolver: {
      resolve: (module, name) => resolveGlobal(file, globalName(module, name)) as () => unknown,
    },
    persistentResolver: { resolve: (id: unknown) => toStorage(id) },
  });
  // When it sets a state, the parser converts keys to strings: nested tuples could fill the memory.
  Object.assign(parser, { _dictionaryProvider: PLAIN_KEYS });
  try {
    return parser.read(new GuardedReader(bytes));
  } catch (cause) {
    if (cause instanceof LlmQeError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ModelError(`the pickle is broken (${reason})`, {
      file,
      fix: 'Download the file again, or use the safetensors file of the same model.',
      cause,
    });
  }
}

/**
 * Joins the parts of a global's name.
 * @throws Error if one is not a string: converting nested tuples could fill the memory
 */
function globalName(module: unknown, name: unknown): string {
  if (typeof module !== 'string' || typeof name !== 'string') throw new Error('a global without a name');
  return `${module}.${name}`.slice(0, 200);
}

/** A dictionary that accepts only strings and numbers as keys, all that checkpoints need. */
class PlainKeys extends Map<unknown, unknown> {
  override set(key: unknown, value: unknown): this {
    if (typeof key === 'object' && key !== null) throw new Error('a dictionary with a key that is not a string');
    return super.set(key, value);
  }
}

const PLAIN_KEYS = {
  create: () => new PlainKeys(),
  setMethod: (dictionary: unknown, key: unknown, value: unknown) => {
    if (!(dictionary instanceof PlainKeys)) throw new Error('an item set in something that is not a dictionary');
    dictionary.set(key, value);
  },
};

function resolveGlobal(file: string, name: string): unknown {
  // New functions each time, because BUILD can modify whatever is on the stack.
  if (Object.hasOwn(STORAGE_TYPES, name)) return new StorageType(STORAGE_TYPES[name]!);
  if (name === 'torch._utils._rebuild_tensor_v2') return (...values: unknown[]) => toTensor(values);
  if (name === 'torch._utils._rebuild_parameter') return (...values: unknown[]) => parameterData(values);
  if (name === 'collections.OrderedDict') return (...values: unknown[]) => emptyDictionary(values);
  throw new ModelError(`the pickle asks for ${name}, which plain checkpoints never need; it was not executed`, {
    file,
    id: name,
    fix: 'Use a safetensors file instead. Do not load this file with other programs unless you trust its source.',
  });
}

/** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks[, metadata])` */
function toTensor(values: unknown[]): TorchTensor {
  const [storage, offset, shape, strides] = values;
  if (values.length < 6 || values.length > 7 || !(storage instanceof TorchStorage)) throw new Error('not a tensor');
  if (!isNatural(offset) || !isNaturals(shape) || !isNaturals(strides) || shape.length !== strides.length) {
    throw new Error('a tensor with an invalid offset, shape or stride');
  }
  return new TorchTensor(storage, offset, [...shape], [...strides]);
}

/** `_rebuild_parameter(data, requires_grad, backward_hooks)` */
function parameterData(values: unknown[]): TorchTensor {
  const [data] = values;
  if (values.length !== 3 || !(data instanceof TorchTensor)) throw new Error('not a parameter');
  return data;
}

function emptyDictionary(values: unknown[]): Map<unknown, unknown> {
  if (values.length !== 0) throw new Error('an ordered dictionary with contents');
  return new PlainKeys();
}

/** `('storage', class, key, location, number of elements)` */
function toStorage(id: unknown): TorchStorage {
  if (!Array.isArray(id) || id.length !== 5) throw new Error('not a storage');
  const [kind, type, key, , count] = id;
  if (kind !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string' || !isNatural(count)) {
    throw new Error('not a storage');
  }
  return new TorchStorage(key, type.dtype, PLAIN_FORMATS[type.dtype]!, count);
}

function isNatural(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isNaturals(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= MAX_DIMENSIONS && value.every(isNatural);
}

/** The instructions of protocols 2 to 4 that `torch.save` writes. */
const ADMITTED = new Set([
  ...[...'.(}])NJKMGXUTcqrhjtsueaQRb'].map((letter) => letter.charCodeAt(0)),
  // PROTO, TUPLE1-3, NEWTRUE, NEWFALSE, LONG1, SHORT_BINUNICODE, STACK_GLOBAL, MEMOIZE, FRAME
  ...[0x80, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x93, 0x94, 0x95],
]);

/** A tensor takes about 60 instructions, so this is enough for 16,000 tensors, and too few to fill the memory. */
const MAX_INSTRUCTIONS = 1_000_000;
/** BUILD copies whole dictionaries; a state dictionary needs one, for its `_metadata`. */
const MAX_BUILDS = 16;
const BUILD = 'b'.charCodeAt(0);

/**
 * Feeds the bytes of a pickle to the parser. It refuses what would harm the parser: instructions that no checkpoint
 * needs (classes, sets, big integers in quadratic time), too many instructions, and reads beyond the end.
 */
class GuardedReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;
  #instructions = 0;
  #builds = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The parser calls this before each instruction and nowhere else. */
  hasNext(): boolean {
    const instruction = this.#bytes[this.#position];
    if (instruction === undefined) return false;
    if (!ADMITTED.has(instruction)) throw new Error(`instruction 0x${instruction.toString(16)} is not allowed`);
    if (++this.#instructions > MAX_INSTRUCTIONS) throw new Error(`more than ${MAX_INSTRUCTIONS} instructions`);
    if (instruction === BUILD && ++this.#builds > MAX_BUILDS) throw new Error('too many objects with a state');
    return true;
  }

  /** Only LONG1 integers are read this way; they must be natural and exact. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    const value = this.#bytes.subarray(at, at + length);
    if (length > 7 && value.subarray(7).some((byte) => byte !== 0)) throw new Error('an integer is too large');
    if (length === 7 && value[6]! > 0x1f) throw new Error('an integer is too large');
    return value.subarray(0, 7);
  }

  byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  uint64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  skip(length: number): void {
    this.#take(length);
  }

  string(length: number, encoding: 'ascii' | 'utf-8'): string {
    const at = this.#take(length);
    return new TextDecoder(encoding).decode(this.#bytes.subarray(at, at + length));
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#position);
    if (end === -1) throw new Error('a line without an end');
    const text = this.string(end - this.#position, 'ascii');
    this.#position++;
    return text;
  }

  #take(length: number): number {
    const at = this.#position;
    if (at + length > this.#bytes.length) throw new Error('it ends too early');
    this.#position += length;
    return at;
  }
}
