import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder, ProtobufWriter, systemFault } from '../../system/index.ts';

/** The values logged at one time, as TensorBoard scalars. */
export interface ScalarEvent {
  /** Milliseconds since 1970. */
  time: number;
  step: number;
  /** By tag. TensorBoard groups tags by the part before a slash. */
  scalars: ReadonlyMap<string, number>;
}

/**
 * A TensorBoard event file: TFRecords (length, checksum, content, checksum; tensorflow/core/lib/io/record_writer.h)
 * that each hold an Event (tensorflow/core/util/event.proto). On opening, it is rewritten from the events so far; later
 * events are appended.
 */
export class EventFile {
  readonly #path: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  /** @throws ResourceError */
  static async create(path: string, events: Iterable<ScalarEvent>): Promise<EventFile> {
    try {
      await makeFolder(dirname(path));
      const file = new EventFile(path, await open(path, 'w'));
      const known = [...events];
      const records = [record(versionEvent(known[0]?.time ?? Date.now())), ...known.map((one) => record(scalars(one)))];
      await file.#write(Buffer.concat(records));
      return file;
    } catch (error) {
      throw systemFault(error, path);
    }
  }

  /** @throws ResourceError */
  async append(event: ScalarEvent): Promise<void> {
    await this.#write(record(scalars(event)));
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      await this.#handle.writeFile(bytes);
    } catch (error) {
      throw systemFault(error, this.#path);
    }
  }
}

/** Event: wall_time 1 (seconds), file_version 3. */
function versionEvent(time: number): Uint8Array {
  return new ProtobufWriter()
    .double(1, time / 1000)
    .bytes(3, 'brain.Event:2')
    .finish();
}

/** Event: wall_time 1, step 2, summary 5; Summary: value 1; Value: tag 1, simple_value 2. */
function scalars({ time, step, scalars }: ScalarEvent): Uint8Array {
  const summary = new ProtobufWriter();
  for (const [tag, value] of scalars) summary.bytes(1, new ProtobufWriter().bytes(1, tag).float(2, value));
  return new ProtobufWriter()
    .double(1, time / 1000)
    .integer(2, step)
    .bytes(5, summary)
    .finish();
}

/** TFRecord: length (uint64), its masked checksum, the content, its masked checksum; all little-endian. */
function record(content: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(12 + content.length + 4);
  bytes.writeBigUInt64LE(BigInt(content.length));
  bytes.writeUInt32LE(maskedCrc32c(bytes.subarray(0, 8)), 8);
  bytes.set(content, 12);
  bytes.writeUInt32LE(maskedCrc32c(content), 12 + content.length);
  return bytes;
}

/** The masked checksum: TensorFlow rotates the CRC and adds a constant (lib/hash/crc32c.h). */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** Remainders of all byte values under the reflected Castagnoli polynomial. */
const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0x82f63b78 : remainder >>> 1;
  return remainder;
});

/** CRC-32C (RFC 3720, section 12.1). */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = REMAINDERS[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
