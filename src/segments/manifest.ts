import { join } from 'node:path';
import { z } from 'zod';
import { readBoundedJson } from '../files/index.ts';
import { ANALYZERS, BM25_FIELDS } from '../search/index.ts';
import { contentKey, DataError, isThere, writeDurably } from '../system/index.ts';

/** Increase it when the layout of an index folder changes. */
export const INDEX_FORMAT = 1;

export const INDEX_MANIFEST = 'llm-qe-index.json';
/** The lock of the one process that changes the index. */
export const WRITE_LOCK = 'write.lock';
/** Vectors of documents that are being added; kept until they are. */
export const ENCODING = 'encoding';

/** What an index can be searched with. */
export const INDEX_RETRIEVERS = ['dense', 'bm25', 'rrf'] as const;

/** Names of files and folders in an index, so that no manifest can lead out of it. */
const nameSchema = z.string().regex(/^[a-z]+-\d{6,12}(?:\.[a-z0-9-]+)?$/);
const hashSchema = z.string().regex(/^[0-9a-f]{64}$/);

const segmentSchema = z.object({
  name: nameSchema,
  /** SHA-256 of its documents. */
  hash: hashSchema,
  documents: z.int().positive(),
  /** Vectors: of documents, or of their passages; 0 without vectors. */
  rows: z.int().nonnegative(),
  /** Size of each file, in bytes. */
  bytes: z.record(z.string(), z.int().nonnegative()),
  /** Documents that were deleted or replaced since: a file with their numbers. */
  deleted: z.object({ file: nameSchema, count: z.int().positive(), hash: hashSchema }).optional(),
});
export type SegmentFacts = z.output<typeof segmentSchema>;

const settingsSchema = z.object({
  retriever: z.enum(INDEX_RETRIEVERS),
  /** Words / overlap; absent: vectors of whole documents. */
  passages: z.string().optional(),
  analyzer: z.enum(ANALYZERS),
  fields: z.enum(BM25_FIELDS),
});
export type IndexSettings = z.output<typeof settingsSchema>;

const encoderSchema = z.object({
  id: z.string(),
  /** Of the vectors of documents. */
  fingerprint: z.string(),
  dimensions: z.int().positive().max(65_536),
  settings: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  /** The options that open it. */
  options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});
export type IndexEncoder = z.output<typeof encoderSchema>;

const manifestSchema = z.object({
  format: z.literal(INDEX_FORMAT, {
    error: `the index is of another version than this program reads (${INDEX_FORMAT})`,
  }),
  /** Grows with every change. */
  generation: z.int().nonnegative(),
  nextSegment: z.int().nonnegative(),
  settings: settingsSchema,
  /** The version of the analyzers that made the BM25 lists. */
  analyzers: z.string(),
  encoder: encoderSchema.optional(),
  segments: z.array(segmentSchema),
});
export type IndexManifest = z.output<typeof manifestSchema>;

const MOST_BYTES = 64 * 2 ** 20;

export function manifestOf(folder: string): string {
  return join(folder, INDEX_MANIFEST);
}

/** Returns whether a folder is an index. */
export function isIndexFolder(folder: string): Promise<boolean> {
  return isThere(manifestOf(folder));
}

/** @throws DataError if the folder is no index, or of another version */
export async function readManifest(folder: string): Promise<IndexManifest> {
  const file = manifestOf(folder);
  if (!(await isThere(file))) {
    throw new DataError('is not an index', { file: folder, fix: 'Make one with `llm-qe index build`.' });
  }
  const fix = 'Build the index again, into another folder.';
  return readBoundedJson(file, manifestSchema, { what: 'the manifest of an index', fix, mostBytes: MOST_BYTES });
}

/** The moment of a change: before it readers see the old generation, after it the new one. */
export async function writeManifest(folder: string, manifest: IndexManifest): Promise<void> {
  // A manifest that could not be read again must not replace one that can.
  await writeDurably(manifestOf(folder), `${JSON.stringify(manifestSchema.parse(manifest), null, 1)}\n`);
}

/** The content key of all documents of a generation. */
export function corpusKey({ segments }: IndexManifest): string {
  return contentKey(segments.map(({ hash, deleted }) => [hash, deleted?.hash ?? '']));
}

export function liveDocuments({ segments }: IndexManifest): number {
  return segments.reduce((sum, { documents, deleted }) => sum + documents - (deleted?.count ?? 0), 0);
}
