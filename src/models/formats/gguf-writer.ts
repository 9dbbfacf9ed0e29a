import { DurableFile, throwIfAborted, UsageError } from '../../system/index.ts';
import { ENCODERS } from './element-encoders.ts';
import { GGML_TYPES } from './gguf-types.ts';
import type { WriteOptions } from './safetensors-writer.ts';
import { elementCount } from './tensor-file.ts';

/** The tensor types that can be written. */
export type GgufTensorType = 'F32' | 'F16' | 'Q8_0';

/** A metadata value with its type in the file; `bytes` come from {@link readGgufMetadataBytes}. */
export type GgufValue =
  | { u32: number }
  | { f32: number }
  | { bool: boolean }
  | { text: string }
  | { texts: readonly string[] }
  | { i32s: readonly number[] }
  | { f32s: readonly number[] }
  | { bytes: Uint8Array };

/** A tensor that is read only when it is written, to keep one at a time in memory. */
export interface GgufTensorToWrite {
  name: string;
  /** Row-major, outermost first; reversed in the file. */
  shape: readonly number[];
  type: GgufTensorType;
  /** Row-major. */
  read: () => Promise<Float32Array>;
}

const ALIGNMENT = 32;
const VERSION = 3;

/**
 * Writes a GGUF file (version 3, little-endian) durably: it gets its name only when it is complete. Format:
 * docs/gguf.md of the ggml repository.
 * @throws UsageError if a name appears twice or data does not fit its shape and type; ResourceError
 */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensorToWrite[],
  options: WriteOptions = {},
): Promise<void> {
  const header = headerBytes(path, metadata, tensors);
  const file = await DurableFile.create(path);
  try {
    await file.write(header);
    for (const tensor of tensors) {
      throwIfAborted(options.signal);
      const data = await tensor.read();
      if (data.length !== elementCount(tensor.shape))
        throw unfit(path, tensor.name, 'the data does not fill the shape');
      const bytes = ENCODERS[tensor.type].encode(data);
      await file.write(bytes);
      await file.write(new Uint8Array(padding(bytes.length)));
      options.onTensor?.(bytes.length);
    }
  } catch (error) {
    await file.discard();
    throw error;
  }
  await file.commit();
}

function headerBytes(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensorToWrite[],
): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from('GGUF'), u32(VERSION), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) {
    parts.push(text(key));
    // One push per part: a vocabulary has more parts than a call can have arguments.
    for (const part of valueParts(value)) parts.push(part);
  }
  const names = new Set<string>();
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    if (names.has(name)) throw unfit(path, name, 'the name appears twice');
    names.add(name);
    parts.push(text(name), u32(shape.length), ...shape.toReversed().map(u64), u32(typeNumber(type)), u64(offset));
    const size = tensorBytes(path, name, shape, type);
    offset += size + padding(size);
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([...parts, new Uint8Array(padding(length))]);
}

function tensorBytes(path: string, name: string, shape: readonly number[], type: GgufTensorType): number {
  const { blockSize, blockBytes } = ENCODERS[type];
  const count = elementCount(shape);
  if (count === undefined || shape.length > 4) throw unfit(path, name, `[${shape}] is not a valid shape`);
  if ((shape.at(-1) ?? 1) % blockSize !== 0) throw unfit(path, name, `its rows do not fill the blocks of ${type}`);
  return (count / blockSize) * blockBytes;
}

function unfit(file: string, id: string, reason: string): UsageError {
  return new UsageError(reason, {
    file,
    id,
    fix: 'Give each tensor a unique name, and the shape and type of its data.',
  });
}

function typeNumber(type: GgufTensorType): number {
  return Number(Object.entries(GGML_TYPES).find(([, { name }]) => name === type)![0]);
}

/** Returns a value after its type number; `readValue` in gguf-header.ts lists the numbers. */
function valueParts(value: GgufValue): Uint8Array[] {
  if ('u32' in value) return [u32(4), u32(value.u32)];
  if ('f32' in value) return [u32(6), f32(value.f32)];
  if ('bool' in value) return [u32(7), Uint8Array.of(value.bool ? 1 : 0)];
  if ('text' in value) return [u32(8), text(value.text)];
  if ('texts' in value) return [...arrayHead(8, value.texts), ...value.texts.map(text)];
  if ('i32s' in value) return [...arrayHead(5, value.i32s), ...value.i32s.map(i32)];
  if ('f32s' in value) return [...arrayHead(6, value.f32s), ...value.f32s.map(f32)];
  return [value.bytes];
}

function arrayHead(type: number, values: readonly unknown[]): Uint8Array[] {
  return [u32(9), u32(type), u64(values.length)];
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function i32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function f32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function padding(length: number): number {
  return (ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT;
}
