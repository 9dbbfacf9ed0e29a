import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EventFile, maskedCrc32c } from './tensorboard.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** The contents of the TFRecords of a file, each checksum verified. */
function recordsOf(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const content = bytes.subarray(at + 12, at + 12 + length);
    expect(bytes.readUInt32LE(at + 8)).toBe(maskedCrc32c(bytes.subarray(at, at + 8)));
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(maskedCrc32c(content));
    found.push(content);
    at += 16 + length;
  }
  return found;
}

describe('event files', () => {
  test('checksums are those of RFC 3720, masked as TensorFlow does', () => {
    const unmask = (masked: number) => {
      const rotated = (masked - 0xa282ead8) >>> 0;
      return ((rotated >>> 17) | (rotated << 15)) >>> 0;
    };
    expect(unmask(maskedCrc32c(Buffer.from('123456789')))).toBe(0xe3069283);
    expect(unmask(maskedCrc32c(new Uint8Array(32)))).toBe(0x8a9136aa);
    expect(unmask(maskedCrc32c(new Uint8Array(32).fill(255)))).toBe(0x62a8ab43);
  });

  test('hold a version and one event per record, as TensorBoard writes them', async () => {
    const file = join(folder, 'deep', 'events.out.tfevents.x');
    const events = await EventFile.create(file, [{ time: 1500, step: 7, scalars: new Map([['train/loss', 0.5]]) }]);
    await events.append({ time: 2000, step: 300, scalars: new Map([['dev/a', 1]]) });
    await events.close();
    const [version, first, second, ...rest] = recordsOf(await readFile(file)).map((one) => one.toString('hex'));
    expect(rest).toEqual([]);
    // Bytes of tensorboard.compat.proto.event_pb2 (tensorboard 2.21) for the same three events.
    expect(version).toBe('09000000000000f83f1a0d627261696e2e4576656e743a32');
    expect(first).toBe('09000000000000f83f10072a130a110a0a747261696e2f6c6f7373150000003f');
    expect(second).toBe('09000000000000004010ac022a0e0a0c0a056465762f61150000803f');
  });
});
