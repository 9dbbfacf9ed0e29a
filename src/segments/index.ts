export type { EncoderSource } from './encode-documents.ts';
export { describeIndex, generationOf, IndexSnapshot } from './index-snapshot.ts';
export {
  type Changed,
  type ChangeOptions,
  IndexWriter,
  type PlacedDocument,
} from './index-writer.ts';
export { type KeyedPart, LiveVectors } from './live-vectors.ts';
export { INDEX_RETRIEVERS, type IndexEncoder, type IndexSettings, isIndexFolder } from './manifest.ts';
