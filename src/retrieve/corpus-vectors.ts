import {
  type Document,
  documentOfPassage,
  PASSAGES_FORMAT,
  type PassageRange,
  parsePassages,
  passageDocuments,
  splitPassages,
} from '../data/index.ts';
import { type Encoder, encodeCorpus, VECTOR_CACHE, type VectorManifest } from '../embed/index.ts';
import { PassageIndex, type SearchIndex, type VectorSource } from '../search/index.ts';
import type { KeyedPart } from '../segments/index.ts';
import type { Progress } from '../system/index.ts';

/** The vectors of a corpus, of whole documents or of their passages. `VectorFile` is one. */
export interface CorpusVectors extends VectorSource {
  /** Ids of documents or passages, by row. */
  readonly ids: readonly string[];
  readonly manifest: Pick<VectorManifest, 'key' | 'encoder' | 'rows' | 'cut'>;
  /** Of an index folder: its segments, whose smaller vectors and graphs stay valid while others come and go. */
  readonly parts?: readonly KeyedPart[];
  /** Reads single rows, in any order // [rows, dimensions] */
  pick(rows: readonly number[]): Promise<Float32Array>;
  close(): Promise<void>;
}

/** What is read to make vectors. */
interface EncodedCorpus {
  documents(signal?: AbortSignal): AsyncIterable<Document>;
  count(signal?: AbortSignal): Promise<number>;
  corpusHash(signal?: AbortSignal): Promise<string>;
}

export interface EncodeOptions {
  /** Words / overlap of passages; undefined for whole documents. */
  passages?: string | undefined;
  /** Folder of vectors. Default: the cache. */
  folder?: string | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** Encodes a corpus, or opens what was encoded before. */
export async function encodeWholeOrPassages(
  encoder: Encoder,
  corpus: EncodedCorpus,
  { passages, folder = VECTOR_CACHE.folder(), signal, progress }: EncodeOptions,
): Promise<CorpusVectors> {
  const hash = await corpus.corpusHash(signal);
  const common = { folder, signal, progress };
  const documents = corpus.documents(signal);
  if (passages === undefined) {
    return encodeCorpus(encoder, documents, { ...common, corpusHash: hash, count: () => corpus.count(signal) });
  }
  const settings = parsePassages(passages);
  const corpusHash = `${hash} in passages of ${settings.words}/${settings.overlap}, format ${PASSAGES_FORMAT}`;
  return encodeCorpus(encoder, passageDocuments(documents, settings), { ...common, corpusHash });
}

/** Makes an index of passages one of documents; leaves another as it is. */
export function rankByPassages(
  index: SearchIndex<Float32Array>,
  vectors: CorpusVectors,
  passages: string | undefined,
): SearchIndex<Float32Array> {
  if (passages === undefined) return index;
  const documents = documentIds(vectors, passages).length;
  const { dimensions } = vectors;
  return new PassageIndex(index, { documents, dimensions, passages, documentOf: documentOfPassage });
}

/** Returns the ids of the documents that vectors belong to. */
export function documentIds({ ids }: Pick<CorpusVectors, 'ids'>, passages: string | undefined): readonly string[] {
  if (passages === undefined) return ids;
  return ids.map(documentOfPassage).flatMap(({ id, passage }) => (passage === 0 ? id : []));
}

/** Returns where a passage stands in the text of its document; undefined if documents are searched whole. */
export function rangeOfPassage(
  { text }: Pick<Document, 'text'>,
  passage: number | undefined,
  passages: string | undefined,
): PassageRange | undefined {
  if (passage === undefined || passages === undefined) return undefined;
  return splitPassages(text, parsePassages(passages))[passage];
}

/** Describes how much of a corpus the encoder does not read. */
export function noteCut({ cut, rows, encoder }: CorpusVectors['manifest'], passages: string | undefined): string[] {
  if (cut === undefined || cut.documents === 0) return [];
  const percent = (100 * cut.documents) / rows;
  const share = percent < 1 ? 'fewer than 1' : String(Math.round(percent));
  const what = passages === undefined ? 'documents' : 'passages';
  const fix =
    passages === undefined
      ? '--passages 150/50 searches all of it.'
      : `Fewer words than --passages ${passages} would fit.`;
  return [
    `${share} % of the ${what} (${cut.documents} of ${rows}) are longer than ${cut.tokens} tokens: the rest of their text is not searched by ${encoder.id}. ${fix}`,
  ];
}
