import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

/** A part of a GGUF model, as bytes: its place among the parts, and the tensors in it, of 32 floats each. */
export interface Part {
  no: number;
  count: number;
  /** Of all parts, as the part says it. */
  tensorCount: number;
  tensors: Record<string, number>;
}

/** A GGUF file with the metadata of llama-gguf-split (`split.no` u16, `split.count` u16, `split.tensors.count` i32). */
export function ggufPart({ no, count, tensorCount, tensors }: Part): Buffer {
  const u16 = (value: number) => Buffer.concat([u32(2), Buffer.of(value & 255, value >> 8)]);
  const pairs = [
    [text('general.architecture'), u32(8), text('llama')],
    [text('split.no'), u16(no)],
    [text('split.count'), u16(count)],
    [text('split.tensors.count'), u32(5), u32(tensorCount)],
  ].flat();
  const names = Object.keys(tensors);
  const infos = names.map((name, index) => Buffer.concat([text(name), u32(1), u64(32), u32(0), u64(index * 128)]));
  const header = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(names.length), u64(4), ...pairs, ...infos]);
  const padding = Buffer.alloc((32 - (header.length % 32)) % 32);
  const data = names.map((name) => Buffer.from(new Float32Array(32).fill(tensors[name]!).buffer));
  return Buffer.concat([header, padding, ...data]);
}

/** A model of two parts with a tensor each, by the names of its files. */
export function twoParts(second = 2): Record<string, Buffer> {
  const part = (no: number, tensors: Record<string, number>) => ggufPart({ no, count: 2, tensorCount: 2, tensors });
  return { 'x-00001-of-00002.gguf': part(0, { a: 1 }), 'x-00002-of-00002.gguf': part(1, { b: second }) };
}

/** Writes files into a folder. */
export async function writeAll(folder: string, files: Record<string, string | Buffer>): Promise<string> {
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}
