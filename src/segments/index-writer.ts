import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, documentSchema } from '../data/index.ts';
import { duplicateId, readJsonl } from '../files/index.ts';
import { ANALYZERS_FORMAT, writeMergedLists, writeSegmentLists } from '../search/index.ts';
import {
  makeFolder,
  type Progress,
  SILENT,
  sha256,
  throwIfAborted,
  withFileLock,
  writeDurably,
} from '../system/index.ts';
import { type EncoderSource, encodeDocuments, isEncodingUsed } from './encode-documents.ts';
import { IndexSnapshot, type LiveSegment, listSegments, liveNumbers, refuseOtherAnalyzers } from './index-snapshot.ts';
import {
  ENCODING,
  INDEX_FORMAT,
  type IndexEncoder,
  type IndexManifest,
  type IndexSettings,
  isIndexFolder,
  type SegmentFacts,
  WRITE_LOCK,
  writeManifest,
} from './manifest.ts';
import { chooseSegments } from './merge-policy.ts';
import { refuseOtherFiles, refuseOtherSettings } from './refusals.ts';
import { KEY_BYTES, keyOfLine, lineOf } from './segment-table.ts';
import { SegmentWriter } from './segment-writer.ts';

/** A document, and where it was read. */
export interface PlacedDocument {
  document: Document;
  file: string;
  line: number;
}

export interface ChangeOptions {
  /** Opened only if there is something to encode. */
  encoder: EncoderSource;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** What a change did, in documents. */
export interface Changed {
  added: number;
  /** Documents whose id was there, with other content. */
  replaced: number;
  /** Documents that were there already. */
  unchanged: number;
  removed: number;
  /** Ids to be removed that were not there. */
  missing: number;
  /** Texts that were encoded: of documents, or of passages. */
  encoded: number;
  /** Documents in the index afterwards. */
  documents: number;
  segments: number;
  generation: number;
}

/** Vectors in one stretch while they are copied. */
const ROWS_AT_ONCE = 4096;

/**
 * Changes an index folder. One process at a time does: others wait. Readers see the old generation until a change is complete, and the new
 * one from then on. If a change is interrupted at any moment, nothing of it is seen, and running it again goes on: texts that were encoded
 * are not encoded again.
 */
export class IndexWriter {
  readonly #folder: string;
  readonly #options: ChangeOptions;
  #snapshot: IndexSnapshot;
  readonly #counts = { added: 0, replaced: 0, unchanged: 0, removed: 0, missing: 0, encoded: 0 };

  private constructor(folder: string, snapshot: IndexSnapshot, options: ChangeOptions) {
    [this.#folder, this.#snapshot, this.#options] = [folder, snapshot, options];
  }

  /**
   * Opens an index for changes, while the work lasts.
   * @param settings of a new index; if there is one, it must have the same. Undefined: there must be one
   * @throws UsageError for other settings; DataError; ResourceError; AbortedError
   */
  static async change(
    folder: string,
    settings: IndexSettings | undefined,
    options: ChangeOptions,
    work: (writer: IndexWriter) => Promise<void>,
  ): Promise<Changed> {
    const { signal, progress } = options;
    const change = async () => {
      const writer = await IndexWriter.#open(folder, settings, options);
      try {
        await work(writer);
        return writer.#changed();
      } finally {
        await writer.#snapshot.close();
      }
    };
    if (settings === undefined) await (await IndexSnapshot.open(folder)).close();
    else await makeFolder(folder);
    return withFileLock(join(folder, WRITE_LOCK), change, { signal, progress, what: 'changes the same index' });
  }

  static async #open(folder: string, settings: IndexSettings | undefined, options: ChangeOptions) {
    if (settings !== undefined && !(await isIndexFolder(folder))) {
      await refuseOtherFiles(folder);
      const start = { format: INDEX_FORMAT, generation: 0, nextSegment: 1, analyzers: ANALYZERS_FORMAT } as const;
      await writeManifest(folder, { ...start, settings, segments: [] });
    }
    const snapshot = await IndexSnapshot.open(folder);
    const writer = new IndexWriter(folder, snapshot, options);
    try {
      refuseOtherAnalyzers(snapshot);
      if (settings !== undefined) refuseOtherSettings(folder, snapshot.settings, settings);
      await writer.#sweep();
      return writer;
    } catch (error) {
      await snapshot.close();
      throw error;
    }
  }

  /**
   * Adds documents. One with a known id replaces that; one that is there already costs nothing.
   * @param isWhole whether these are all documents: those that are not among them are removed
   * @throws DataError that names file, line and id
   */
  async add(documents: AsyncIterable<PlacedDocument>, isWhole = false): Promise<void> {
    const manifest = this.#snapshot.manifest;
    const writer = await SegmentWriter.create(this.#folder, segmentName(manifest));
    const gone = new Map<LiveSegment, Set<number>>();
    try {
      const seen = await this.#collect(documents, writer, gone);
      if (isWhole) this.#dropOthers(seen, gone);
      const { segment, encoder } = await this.#finish(writer);
      await this.#commit(gone, segment, encoder);
    } catch (error) {
      await writer.discard();
      throw error;
    }
    await this.#merge(chooseSegments(this.#snapshot.segments.map(({ segment }) => segment.facts.documents)));
  }

  /** Removes documents by id. Ids that are not there are counted. */
  async remove(ids: Iterable<string>): Promise<void> {
    const gone = new Map<LiveSegment, Set<number>>();
    for (const id of new Set(ids)) {
      const place = this.#snapshot.place(id);
      if (place === undefined) this.#counts.missing++;
      else {
        mark(gone, place);
        this.#counts.removed++;
      }
    }
    await this.#commit(gone, undefined, undefined);
  }

  /** Makes one segment of all, without deleted documents. */
  async compact(): Promise<void> {
    await this.#merge(this.#snapshot.segments.map((_part, at) => at));
    await this.#dropEncoding();
  }

  /** Writes the documents that are new or changed. @returns the ids of all */
  async #collect(
    documents: AsyncIterable<PlacedDocument>,
    writer: SegmentWriter,
    gone: Map<LiveSegment, Set<number>>,
  ): Promise<Set<string>> {
    const { signal, progress = SILENT } = this.#options;
    const seen = new Set<string>();
    const task = progress.task('reading documents', undefined, 'documents');
    try {
      for await (const { document, file, line: lineNumber } of documents) {
        throwIfAborted(signal);
        if (seen.has(document.id)) throw duplicateId(file, lineNumber, document.id, 'document');
        seen.add(document.id);
        task.advance(1);
        const line = lineOf(document);
        const key = keyOfLine(line);
        const place = this.#snapshot.place(document.id);
        if (place !== undefined && keyAt(place).equals(key)) {
          this.#counts.unchanged++;
          continue;
        }
        if (place !== undefined) mark(gone, place);
        this.#counts[place === undefined ? 'added' : 'replaced']++;
        await writer.addLine(document.id, line, key);
      }
    } finally {
      task.done();
    }
    return seen;
  }

  #dropOthers(seen: ReadonlySet<string>, gone: Map<LiveSegment, Set<number>>): void {
    for (const part of this.#snapshot.segments) {
      for (const number of liveNumbers(part.segment, part.deleted)) {
        if (seen.has(part.segment.ids[number]!)) continue;
        mark(gone, { part, number });
        this.#counts.removed++;
      }
    }
  }

  /** Makes vectors and lists of the collected documents. @returns undefined if there are none */
  async #finish(writer: SegmentWriter): Promise<{ segment?: SegmentFacts; encoder?: IndexEncoder }> {
    const hash = await writer.endDocuments();
    const count = writer.ids.length;
    if (count === 0) {
      await writer.discard();
      return {};
    }
    const { settings } = this.#snapshot;
    const { signal, progress } = this.#options;
    const read = () => documentsOf(writer.path('documents'), signal);
    if (settings.retriever !== 'dense') {
      await writeSegmentLists(writer.path('lists'), hash, read(), { ...settings, signal, progress, count });
    }
    if (settings.retriever === 'bm25') {
      return { segment: await writer.commit(hash, new Array(count).fill(0), new Uint8Array(0)) };
    }
    const known = this.#snapshot.manifest.encoder;
    const options = { ...this.#options, folder: this.#folder, passages: settings.passages, known };
    const { counts, cuts, encoder, encoded } = await encodeDocuments(writer, hash, read, options);
    this.#counts.encoded += encoded;
    return { segment: await writer.commit(hash, counts, cuts), encoder };
  }

  /** Makes one segment of several, by their numbers; one alone only if documents were deleted from it. */
  async #merge(which: readonly number[]): Promise<void> {
    const parts = which.map((at) => this.#snapshot.segments[at]!);
    if (parts.length === 0 || (parts.length === 1 && parts[0]!.deleted.size === 0)) return;
    const { manifest, settings } = this.#snapshot;
    const { signal, progress = SILENT } = this.#options;
    const writer = await SegmentWriter.create(this.#folder, segmentName(manifest));
    const total = parts.reduce((sum, { segment, deleted }) => sum + segment.ids.length - deleted.size, 0);
    const task = progress.task('merging segments', total, 'documents');
    try {
      const { counts, cuts } = await this.#copy(parts, writer, () => task.advance(1));
      const hash = await writer.endDocuments();
      if (settings.retriever !== 'dense') {
        const lists = await listSegments(parts, signal);
        await writeMergedLists(writer.path('lists'), hash, lists, { fields: settings.fields, signal });
      }
      const segment = total === 0 ? undefined : await writer.commit(hash, counts, Uint8Array.from(cuts));
      if (segment === undefined) await writer.discard();
      const gone = new Map(parts.map((part) => [part, new Set(part.segment.ids.keys())]));
      await this.#commit(gone, segment, manifest.encoder);
    } catch (error) {
      await writer.discard();
      throw error;
    } finally {
      task.done();
    }
  }

  /** Copies documents and vectors that count. */
  async #copy(parts: readonly LiveSegment[], writer: SegmentWriter, onDocument: () => void) {
    const { signal } = this.#options;
    const dimensions = this.#snapshot.manifest.encoder?.dimensions ?? 0;
    const counts: number[] = [];
    const cuts: number[] = [];
    for (const { segment, deleted } of parts) {
      const { rows, cuts: known } = segment.table;
      const numbers = liveNumbers(segment, deleted);
      for await (const { number, line } of segment.lines(numbers)) {
        throwIfAborted(signal);
        await writer.addLine(segment.ids[number]!, line, keyAt({ part: { segment, deleted }, number }));
        counts.push(rows[number + 1]! - rows[number]!);
        for (let row = rows[number]!; row < rows[number + 1]!; row++) cuts.push(known[row]!);
        onDocument();
      }
      for (const [start, end] of stretches(numbers, rows)) {
        await writer.addVectors(await segment.readVectors(start, end, dimensions));
      }
    }
    return { counts, cuts };
  }

  /** Makes the change visible, in one step, and removes what nobody will open any more. */
  async #commit(
    gone: ReadonlyMap<LiveSegment, ReadonlySet<number>>,
    added: SegmentFacts | undefined,
    encoder: IndexEncoder | undefined,
  ): Promise<void> {
    throwIfAborted(this.#options.signal);
    const isChanged = gone.size > 0 || added !== undefined;
    const { manifest, segments } = this.#snapshot;
    if (isChanged) {
      const generation = manifest.generation + 1;
      const kept: SegmentFacts[] = [];
      for (const part of segments) {
        const facts = await this.#withoutDocuments(part, gone.get(part), generation);
        if (facts !== undefined) kept.push(facts);
      }
      const next: IndexManifest = {
        ...{ ...manifest, encoder: manifest.encoder ?? encoder, generation },
        nextSegment: manifest.nextSegment + (added === undefined ? 0 : 1),
        segments: added === undefined ? kept : [...kept, added],
      };
      await writeManifest(this.#folder, next);
      await this.#snapshot.close();
      this.#snapshot = await IndexSnapshot.open(this.#folder);
    }
    await this.#sweep();
  }

  async #dropEncoding(): Promise<void> {
    await rm(join(this.#folder, ENCODING), { recursive: true, force: true }).catch(() => {});
  }

  /** Lists the documents that no longer count. @returns undefined if none does */
  async #withoutDocuments(
    { segment, deleted }: LiveSegment,
    gone: ReadonlySet<number> | undefined,
    generation: number,
  ): Promise<SegmentFacts | undefined> {
    const { facts } = segment;
    if (gone === undefined) return facts;
    const all = Uint32Array.from(new Set([...deleted, ...gone])).sort();
    if (all.length === facts.documents) return undefined;
    const file = `deleted-${String(generation).padStart(6, '0')}.${facts.name}`;
    const bytes = new Uint8Array(all.buffer);
    await writeDurably(join(this.#folder, file), bytes);
    return { ...facts, deleted: { file, count: all.length, hash: sha256(bytes) } };
  }

  /**
   * Removes segments and lists that the manifest does not name: of older generations, and of changes that were interrupted; and what was encoded
   * for segments that are there. Readers have them open; where open files cannot be removed (Windows), a later change does it.
   */
  async #sweep(): Promise<void> {
    const { segments } = this.#snapshot.manifest;
    const named = new Set(segments.flatMap(({ name, deleted }) => [name, deleted?.file]));
    for (const name of await readdir(this.#folder)) {
      if (!/^(?:segment|deleted)-\d{6,12}(?:\.segment-\d{6,12})?$/.test(name) || named.has(name)) continue;
      await rm(join(this.#folder, name), { recursive: true, force: true }).catch(() => {});
    }
    if (await isEncodingUsed(this.#folder, this.#snapshot.manifest)) await this.#dropEncoding();
  }

  #changed(): Changed {
    const { manifest, size } = this.#snapshot;
    const { generation, segments } = manifest;
    return { ...this.#counts, documents: size, segments: segments.length, generation };
  }
}

function segmentName({ nextSegment }: IndexManifest): string {
  return `segment-${String(nextSegment).padStart(6, '0')}`;
}

function mark(gone: Map<LiveSegment, Set<number>>, { part, number }: { part: LiveSegment; number: number }): void {
  const numbers = gone.get(part) ?? new Set<number>();
  gone.set(part, numbers.add(number));
}

function keyAt({ part, number }: { part: LiveSegment; number: number }): Buffer {
  return part.segment.table.keys.subarray(number * KEY_BYTES, (number + 1) * KEY_BYTES);
}

async function* documentsOf(file: string, signal: AbortSignal | undefined): AsyncGenerator<Document> {
  for await (const { value } of readJsonl(file, documentSchema, signal)) yield value;
}

/** Yields the stretches of vectors of some documents, at most some thousands at a time. */
function* stretches(numbers: readonly number[], rows: Uint32Array): Generator<[start: number, end: number]> {
  let [start, end] = [0, 0];
  for (const number of numbers) {
    const [first, last] = [rows[number]!, rows[number + 1]!];
    if (first === end && last - start <= ROWS_AT_ONCE) {
      end = last;
      continue;
    }
    if (end > start) yield [start, end];
    [start, end] = [first, last];
  }
  if (end > start) yield [start, end];
}
