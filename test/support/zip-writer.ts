import { crc32, deflateRawSync } from 'node:zlib';

/** One entry of a zip archive for a test, with room for lies. */
export interface ZipEntry {
  name: string;
  content: string | Uint8Array;
  deflate?: boolean;
  /** Unix mode in the directory; 0o120777 makes a symbolic link. */
  mode?: number;
  encrypted?: boolean;
  /** States another unpacked size than the true one. */
  statedSize?: number;
  /** States another checksum than the true one. */
  statedCrc?: number;
}

/** A zip archive in memory (APPNOTE.TXT 6.3, without zip64). */
export function zipArchive(entries: ZipEntry[]): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const content = Buffer.from(entry.content);
    const data = entry.deflate ? deflateRawSync(content) : content;
    const name = Buffer.from(entry.name);
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(0x800 | (entry.encrypted ? 1 : 0), 2);
    shared.writeUInt16LE(entry.deflate ? 8 : 0, 4);
    shared.writeUInt32LE(entry.statedCrc ?? crc32(content), 10);
    shared.writeUInt32LE(data.length, 14);
    shared.writeUInt32LE(entry.statedSize ?? content.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), shared, name, data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(((entry.mode ?? 0o100644) << 16) >>> 0, 6);
    tail.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x03'), shared, tail, name]));
    files.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...files, ...directory, end]);
}
