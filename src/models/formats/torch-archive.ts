import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { ModelError, systemFault } from '../../system/index.ts';
import type { TensorFile } from './tensor-file.ts';

/** An entry of the archive: a range of bytes of the file, because PyTorch stores without compression. */
export interface ArchiveEntry {
  name: string;
  /** Bytes from the start of the file to the entry's local header. */
  header: number;
  size: number;
}

/** More storages than any model has. */
const MAX_ENTRIES = 200_000;
const LOCAL_HEADER_BYTES = 30;
const USE_SAFETENSORS = 'Use the safetensors file of the same model, or save it again with a current PyTorch.';

/**
 * Lists a PyTorch zip archive (ZIP64 too) from its central directory.
 * @returns the entries by their names inside the archive's folder ("data.pkl", "data/0")
 * @throws ModelError if the archive is broken, or an entry is compressed, encrypted or appears twice
 */
export async function listArchive(file: TensorFile): Promise<Map<string, ArchiveEntry>> {
  const found = new Map<string, ArchiveEntry>();
  for (const entry of await readDirectory(file)) {
    const name = entry.fileName;
    if (found.has(name)) file.fail('the archive names an entry twice', name);
    if (entry.compressionMethod !== 0 || entry.isEncrypted()) {
      file.fail('the entry is compressed or encrypted, which PyTorch never does', name, USE_SAFETENSORS);
    }
    if (entry.compressedSize !== entry.uncompressedSize) file.fail('the two sizes of the entry disagree', name);
    const header = entry.relativeOffsetOfLocalHeader;
    if (header + LOCAL_HEADER_BYTES + entry.uncompressedSize > file.size) {
      file.fail('the entry reaches beyond the end of the file', name);
    }
    found.set(name, { name, header, size: entry.uncompressedSize });
  }
  const pickles = [...found.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name) || name === 'data.pkl');
  if (pickles.length !== 1)
    file.fail('is a zip file, but not a PyTorch checkpoint (it holds no data.pkl)', undefined, USE_SAFETENSORS);
  const folder = pickles[0]!.slice(0, -'data.pkl'.length);
  return new Map(
    [...found].filter(([name]) => name.startsWith(folder)).map(([name, entry]) => [name.slice(folder.length), entry]),
  );
}

/** Returns where the bytes of an entry begin. Its local header can be longer or shorter than the directory's copy. */
export async function entryStart(file: TensorFile, entry: ArchiveEntry): Promise<number> {
  const header = await file.read(entry.header, LOCAL_HEADER_BYTES, entry.name);
  const view = new DataView(header.buffer);
  if (view.getUint32(0, true) !== 0x04034b50) file.fail('the archive entry has no header', entry.name);
  const start = entry.header + LOCAL_HEADER_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  if (start + entry.size > file.size) file.fail('the entry reaches beyond the end of the file', entry.name);
  return start;
}

async function readDirectory(file: TensorFile): Promise<Entry[]> {
  let archive: ZipFile | undefined;
  try {
    archive = await openPromise(file.path, { autoClose: false });
    const entries: Entry[] = [];
    for await (const entry of archive.eachEntry()) {
      if (entries.push(entry) > MAX_ENTRIES) throw new Error(`more than ${MAX_ENTRIES} entries`);
    }
    return entries;
  } catch (cause) {
    const fault = systemFault(cause, file.path);
    if (fault !== cause) throw fault;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ModelError(`is not a complete zip file (${reason})`, {
      file: file.path,
      fix: 'The file is damaged or incomplete. Download it again; for a model of the store: `llm-qe models pull NAME --verify`.',
      cause,
    });
  } finally {
    archive?.close();
  }
}
