import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, documentOfPassage, documentText, parsePassages, passageDocuments } from '../data/index.ts';
import { areOfCorpora, type Encoder, encodeCorpus, StoredVectors, type VectorFile } from '../embed/index.ts';
import { type Progress, UsageError } from '../system/index.ts';
import { ENCODING, type IndexEncoder, type IndexManifest } from './manifest.ts';
import type { SegmentWriter } from './segment-writer.ts';

/** How the encoder of an index is opened, and the options that the index records for that. */
export interface EncoderSource {
  open(recorded: IndexEncoder | undefined): Promise<Encoder>;
  options: IndexEncoder['options'];
}

/** Where and how documents are encoded. */
export interface EncodeOptions {
  /** Of the index. */
  folder: string;
  encoder: EncoderSource;
  /** The encoder of an index that has one. */
  known: IndexEncoder | undefined;
  passages: string | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** Vectors in one stretch while they are copied. */
const ROWS_AT_ONCE = 4096;

/**
 * Encodes the documents of a new segment, and writes their vectors into it. What was encoded stays beside the segments until it is used, so that
 * an interrupted change does not encode it again.
 * @param hash of the documents
 * @throws UsageError if the index has vectors of another encoder; AbortedError
 */
export async function encodeDocuments(
  writer: SegmentWriter,
  hash: string,
  read: () => AsyncGenerator<Document>,
  { folder: index, encoder: source, known, passages, signal, progress }: EncodeOptions,
) {
  const encoder = await source.open(known);
  try {
    refuseOtherEncoder(index, encoder, known);
    const texts = () => (passages === undefined ? read() : passageDocuments(read(), parsePassages(passages)));
    const corpusHash = hashOfTexts(hash, passages);
    let encoded = 0;
    const counting = countingEncoder(encoder, (count) => {
      encoded += count;
    });
    const count = passages === undefined ? writer.ids.length : undefined;
    const folder = join(index, ENCODING);
    const vectors = await encodeCorpus(counting, texts(), { folder, corpusHash, count, signal, progress });
    for await (const chunk of vectors.chunks(ROWS_AT_ONCE, signal)) await writer.addVectors(chunk.vectors);
    const { id, dimensions, settings } = encoder;
    const facts = { id, fingerprint: documentKey(encoder), dimensions, settings: { ...settings } };
    return {
      ...{ counts: countRows(vectors, passages), cuts: await findCuts(vectors, texts()), encoded },
      encoder: { ...facts, options: known?.options ?? source.options },
    };
  } finally {
    await encoder.close();
  }
}

function documentKey({ fingerprint, documentFingerprint = fingerprint }: Encoder): string {
  return documentFingerprint;
}

/** Counts the texts that are encoded. */
function countingEncoder(encoder: Encoder, onTexts: (count: number) => void): Encoder {
  const { id, fingerprint, documentFingerprint, dimensions, settings, batchesAtOnce } = encoder;
  return {
    ...{ id, fingerprint, documentFingerprint, dimensions, settings, batchesAtOnce },
    async encode(texts, role, options) {
      const vectors = await encoder.encode(texts, role, options);
      onTexts(texts.length);
      return vectors;
    },
    close: () => encoder.close(),
  };
}

/** The texts of a segment, whole or in passages. */
function hashOfTexts(hash: string, passages: string | undefined): string {
  return `${hash} ${passages ?? 'whole'}`;
}

/**
 * Returns whether what was encoded beside the segments stands in them. What another interrupted change encoded stays until that runs again.
 */
export async function isEncodingUsed(
  index: string,
  { segments, settings }: Pick<IndexManifest, 'segments' | 'settings'>,
): Promise<boolean> {
  const folder = join(index, ENCODING);
  const known = new Set(segments.map(({ hash }) => hashOfTexts(hash, settings.passages)));
  try {
    for (const name of await readdir(folder)) {
      if (!(await areOfCorpora(join(folder, name), (hash) => known.has(hash)))) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** Returns the number of vectors of each document // [documents] */
function countRows({ ids }: VectorFile, passages: string | undefined): number[] {
  if (passages === undefined) return ids.map(() => 1);
  const counts: number[] = [];
  for (const id of ids) {
    if (documentOfPassage(id).passage === 0) counts.push(1);
    else counts[counts.length - 1]!++;
  }
  return counts;
}

/** Returns for each vector whether its text was truncated; see `SegmentTable` // [vectors] */
async function findCuts(vectors: VectorFile, texts: AsyncIterable<Document>): Promise<Uint8Array> {
  const { cut } = vectors.manifest;
  const cuts = new Uint8Array(vectors.rows).fill(cut === undefined ? 2 : 0);
  if (cut === undefined || cut.documents === 0) return cuts;
  const stored = await StoredVectors.open(vectors.folder, vectors.dimensions);
  let row = 0;
  for await (const document of texts) {
    const place = stored.find(documentText(document));
    if (place !== undefined && stored.isCut(place)) cuts[row] = 1;
    row++;
  }
  return cuts;
}

function refuseOtherEncoder(folder: string, encoder: Encoder, known: IndexEncoder | undefined): void {
  if (known === undefined || known.fingerprint === documentKey(encoder)) return;
  throw new UsageError(`the vectors of the index were made by ${known.id}, which is not ${encoder.id} as it is now`, {
    file: folder,
    fix: 'Pass the encoder that it was built with, or build a new index in another folder.',
  });
}
