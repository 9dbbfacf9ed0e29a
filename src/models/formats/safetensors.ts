import { z } from 'zod';
import type { Checkpoint, TensorInfo } from './checkpoint-contract.ts';
import { openSharded, unknownTensor } from './checkpoint-index.ts';
import { PLAIN_FORMATS } from './element-formats.ts';
import { elementCount, TensorFile } from './tensor-file.ts';

/** The specification's limit. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Bits per element for every type of the specification; types that PLAIN_FORMATS lacks can only be listed. */
const ELEMENT_BITS: ReadonlyMap<string, number> = new Map([
  ...Object.entries(PLAIN_FORMATS).map(([name, format]): [string, number] => [name, format.blockBytes * 8]),
  ['F8_E4M3', 8],
  ['F8_E5M2', 8],
  ['F8_E8M0', 8],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['F4', 4],
  ['C64', 64],
]);

const EntrySchema = z.object({
  dtype: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
});
const MetadataSchema = z.record(z.string(), z.string());

interface Entry extends TensorInfo {
  /** Bytes from the start of the data. */
  start: number;
  end: number;
  count: number;
}

/**
 * Opens one safetensors file. The header is checked as by the reference implementation: its length, its JSON, each
 * tensor's size against its shape and type, and that the tensors cover the data without gap or overlap. Format:
 * https://github.com/huggingface/safetensors, "Format".
 * @throws ModelError
 */
export async function openSafetensors(path: string): Promise<Checkpoint> {
  const file = await TensorFile.open(path);
  try {
    const { dataStart, text } = await readHeader(file);
    const header = parseHeader(file, text);
    checkLayout(file, header.entries, file.size - dataStart);
    return new SafetensorsCheckpoint(file, dataStart, header.entries, header.metadata);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens a sharded safetensors checkpoint from its `model.safetensors.index.json`. @throws ModelError */
export function openShardedSafetensors(indexFile: string): Promise<Checkpoint> {
  return openSharded(indexFile, openSafetensors);
}

class SafetensorsCheckpoint implements Checkpoint {
  readonly #file: TensorFile;
  readonly #dataStart: number;
  readonly #entries: Map<string, Entry>;
  readonly #metadata: Record<string, string>;

  constructor(file: TensorFile, dataStart: number, entries: Entry[], metadata: Record<string, string>) {
    this.#file = file;
    this.#dataStart = dataStart;
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
    this.#metadata = metadata;
  }

  get path(): string {
    return this.#file.path;
  }

  tensors(): TensorInfo[] {
    return [...this.#entries.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  }

  async read(name: string): Promise<Float32Array> {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw unknownTensor(this.path, name);
    const format = PLAIN_FORMATS[entry.dtype];
    if (format === undefined) {
      this.#file.fail(`the element type ${entry.dtype} cannot be read`, name, 'Use a checkpoint in F32, F16 or BF16.');
    }
    return this.#file.readFloats({ name, position: this.#dataStart + entry.start, count: entry.count }, format);
  }

  metadata(): Record<string, unknown> {
    return this.#metadata;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function readHeader(file: TensorFile): Promise<{ dataStart: number; text: string }> {
  if (file.size < 8) file.fail(`has ${file.size} bytes, too few for a safetensors header`);
  const prefix = await file.read(0, 8);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) file.fail(`claims a header of ${length} bytes (the limit is ${MAX_HEADER_BYTES})`);
  if (8 + length > file.size) file.fail(`claims a header of ${length} bytes, but has ${file.size} in all`);
  const bytes = await file.read(8, length);
  try {
    return { dataStart: 8 + length, text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return file.fail('the header is not UTF-8');
  }
}

function parseHeader(file: TensorFile, text: string): { entries: Entry[]; metadata: Record<string, string> } {
  let header: unknown;
  try {
    header = text.startsWith('{') ? JSON.parse(text) : undefined;
  } catch {
    header = undefined;
  }
  if (typeof header !== 'object' || header === null) file.fail('the header is not a JSON object');
  const repeated = repeatedKey(text);
  if (repeated !== undefined) file.fail('the header names a tensor twice', repeated);
  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name !== '__metadata__') entries.push(parseEntry(file, name, value));
    else {
      const parsed = MetadataSchema.safeParse(value);
      if (!parsed.success) file.fail('__metadata__ does not map strings to strings');
      metadata = parsed.data;
    }
  }
  return { entries, metadata };
}

/** Finds a repeated key. The specification forbids repeated keys, but JSON.parse silently keeps the last one. */
function repeatedKey(json: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
    else if (character === '"') {
      const end = endOfString(json, at);
      // At depth 1 every string is a key, since all values there are objects.
      const key = depth === 1 ? String(JSON.parse(json.slice(at, end + 1))) : undefined;
      if (key !== undefined && seen.has(key)) return key;
      if (key !== undefined) seen.add(key);
      at = end;
    }
  }
  return undefined;
}

/** Returns the position of the quotation mark that closes the string starting at `start`. */
function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at;
}

function parseEntry(file: TensorFile, name: string, value: unknown): Entry {
  const parsed = EntrySchema.safeParse(value);
  if (!parsed.success) file.fail('the header entry lacks a valid dtype, shape or data_offsets', name);
  const { dtype, shape, data_offsets } = parsed.data;
  const bits = ELEMENT_BITS.get(dtype);
  if (bits === undefined)
    file.fail(`unknown element type ${JSON.stringify(dtype)}`, name, 'Use a checkpoint in F32, F16 or BF16.');
  const count = elementCount(shape);
  if (count === undefined) file.fail(`the shape [${shape.slice(0, 8)}] is too large`, name);
  const [start, end] = data_offsets;
  if (end - start !== (count * bits) / 8) {
    file.fail(
      `the offsets span ${end - start} bytes, but ${dtype} [${shape.slice(0, 8)}] takes ${(count * bits) / 8}`,
      name,
    );
  }
  return { name, dtype, shape, start, end, count };
}

function checkLayout(file: TensorFile, entries: Entry[], dataBytes: number): void {
  let covered = 0;
  for (const { name, start, end } of entries.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    if (end > dataBytes) file.fail(`the tensor ends at byte ${end} of the data, which has ${dataBytes}`, name);
    if (start < covered) file.fail('the tensor overlaps another', name);
    if (start > covered) file.fail(`bytes ${covered} to ${start} of the data belong to no tensor`, name);
    covered = end;
  }
  if (covered !== dataBytes) file.fail(`the last ${dataBytes - covered} bytes belong to no tensor`);
}
