import { join } from 'node:path';
import { DurableFile, ModelError, throwIfAborted, UsageError, writeDurably } from '../../system/index.ts';
import { ENCODERS } from './element-encoders.ts';
import { MAX_HEADER_BYTES } from './safetensors.ts';
import { elementCount } from './tensor-file.ts';

/** The element types that can be written, by their names in the format. */
export type SafetensorsType = 'F32' | 'F16' | 'BF16';

interface WrittenTensor {
  name: string;
  shape: readonly number[];
  /** Default F32. Half-precision values are rounded to nearest, ties to even. */
  dtype?: SafetensorsType | undefined;
}

/** A tensor to be written. */
export interface TensorToWrite extends WrittenTensor {
  /** Row-major. */
  data: Float32Array;
}

/** A tensor that is read only when it is written, to keep one at a time in memory. */
export interface StreamedTensor extends WrittenTensor {
  /** Row-major. */
  read: () => Promise<Float32Array>;
}

export interface WriteOptions {
  signal?: AbortSignal | undefined;
  /** Called after each tensor with its size in the file, in bytes. */
  onTensor?: ((bytes: number) => void) | undefined;
}

/**
 * Writes a safetensors file durably: it gets its name only when it is complete. The data begins at a multiple of 8
 * bytes, as the specification requires.
 * @param metadata written into `__metadata__`; Transformers expects `{ format: 'pt' }`
 * @throws UsageError if a name appears twice or a shape does not fit its data; ResourceError
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly (TensorToWrite | StreamedTensor)[],
  metadata: Readonly<Record<string, string>> = {},
  options: WriteOptions = {},
): Promise<void> {
  for (const tensor of tensors) if ('data' in tensor) checkData(path, tensor, tensor.data);
  const header = headerBytes(path, tensors, metadata);
  const file = await DurableFile.create(path);
  try {
    await file.write(header);
    for (const tensor of tensors) {
      throwIfAborted(options.signal);
      const data = 'data' in tensor ? tensor.data : await tensor.read();
      checkData(path, tensor, data);
      const bytes = ENCODERS[tensor.dtype ?? 'F32'].encode(data);
      await file.write(bytes);
      options.onTensor?.(bytes.length);
    }
  } catch (error) {
    await file.discard();
    throw error;
  }
  await file.commit();
}

/** The maximum size of a shard in bytes: the default of `save_pretrained` in Transformers ("5GB"). */
export const DEFAULT_SHARD_BYTES = 5_000_000_000;

/**
 * Writes a model's weights into a folder: `model.safetensors`, or, if they are larger than a shard,
 * `model-00001-of-0000N.safetensors` and so on, then `model.safetensors.index.json`. Tensors keep their order; one that
 * is larger than a shard gets its own.
 * @param maxShardBytes default {@link DEFAULT_SHARD_BYTES}
 * @throws as {@link writeSafetensors}
 */
export async function writeModelSafetensors(
  folder: string,
  tensors: readonly (TensorToWrite | StreamedTensor)[],
  options: WriteOptions & { maxShardBytes?: number | undefined } = {},
): Promise<void> {
  const shards = cutIntoShards(tensors, options.maxShardBytes ?? DEFAULT_SHARD_BYTES);
  const metadata = { format: 'pt' };
  const [only] = shards;
  if (only === undefined || shards.length === 1) {
    return writeSafetensors(join(folder, 'model.safetensors'), only ?? [], metadata, options);
  }
  const digits = (number: number) => String(number).padStart(5, '0');
  const weightMap: Record<string, string> = {};
  for (const [index, shard] of shards.entries()) {
    const name = `model-${digits(index + 1)}-of-${digits(shards.length)}.safetensors`;
    await writeSafetensors(join(folder, name), shard, metadata, options);
    for (const tensor of shard) weightMap[tensor.name] = name;
  }
  const total = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  const index = { metadata: { total_size: total }, weight_map: weightMap };
  await writeDurably(join(folder, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`);
}

function cutIntoShards<T extends WrittenTensor>(tensors: readonly T[], most: number): T[][] {
  const shards: T[][] = [];
  let bytes = 0;
  for (const tensor of tensors) {
    const size = tensorBytes(tensor);
    const shard = shards.at(-1);
    if (shard === undefined || bytes + size > most) {
      shards.push([tensor]);
      bytes = size;
    } else {
      shard.push(tensor);
      bytes += size;
    }
  }
  return shards;
}

function tensorBytes({ shape, dtype = 'F32' }: WrittenTensor): number {
  return (elementCount(shape) ?? Number.NaN) * ENCODERS[dtype].blockBytes;
}

function checkData(path: string, { name, shape }: WrittenTensor, data: Float32Array): void {
  if (elementCount(shape) === data.length) return;
  throw unfit(path, name, `${data.length} values do not fill the shape [${shape}]`);
}

function unfit(file: string, id: string, reason: string): UsageError {
  return new UsageError(reason, { file, id, fix: 'Give each tensor a unique name and the shape of its data.' });
}

function headerBytes(
  path: string,
  tensors: readonly WrittenTensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) entries.set('__metadata__', metadata);
  let start = 0;
  for (const tensor of tensors) {
    const { name, shape, dtype = 'F32' } = tensor;
    if (entries.has(name) || name === '__metadata__') throw unfit(path, name, 'the name appears twice');
    const bytes = tensorBytes(tensor);
    if (!Number.isSafeInteger(bytes)) throw unfit(path, name, `[${shape}] is not a valid shape`);
    entries.set(name, { dtype, shape, data_offsets: [start, start + bytes] });
    start += bytes;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const bytes = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  bytes.writeBigUInt64LE(BigInt(bytes.length - 8));
  json.copy(bytes, 8);
  if (bytes.length - 8 > MAX_HEADER_BYTES)
    throw new ModelError('too many tensors', { file: path, fix: 'Split it into shards.' });
  return bytes;
}
