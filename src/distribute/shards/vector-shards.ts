import { rm } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { z } from 'zod';
import type { Document } from '../../data/index.ts';
import {
  type EncodeOptions,
  type Encoder,
  encodeCorpus,
  StoredEncoder,
  StoredVectors,
  type VectorFile,
  vectorFiles,
} from '../../embed/index.ts';
import { contentKey, DataError, makeFolder, type Progress, SILENT } from '../../system/index.ts';
import { breakSeal, type Items, readSeals, type Seal, sealShard, stemOf } from './seal.ts';
import { isInShard, type Shard } from './shard.ts';

/** The documents of a set, of which shards are made. */
export interface ShardedCorpus {
  documents(signal?: AbortSignal): AsyncIterable<Document>;
  corpusHash(signal?: AbortSignal): Promise<string>;
}

interface Options {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/**
 * Encodes the documents of one shard into a folder that several machines may share. It resumes as {@link encodeCorpus} does.
 * @param known the folder of all vectors of this machine: texts that have one there are not encoded again
 * @returns the number of documents
 */
export async function encodeShard(
  encoder: Encoder,
  corpus: ShardedCorpus,
  { folder, shard, known, signal, progress = SILENT }: Options & { folder: string; shard: Shard; known: string },
): Promise<number> {
  const place = join(resolve(folder), stemOf(shard));
  await makeFolder(resolve(folder));
  if ((await breakSeal(folder, shard)) === 'changed') {
    progress.warn?.(`${place} was changed after it was finished: its vectors are made again`);
    await rm(place, { recursive: true, force: true });
    await breakSeal(folder, shard);
  }
  const corpusHash = await corpus.corpusHash(signal);
  const count = await countDocuments(corpus, shard, signal);
  const common = commonOf(encoder, corpusHash);
  const items: Items = { count, sha256: itemsOf(corpusHash, shard) };
  if (count === 0) {
    await sealShard(resolve(folder), shard, { items, common, names: [] });
    return 0;
  }
  const knowing = await StoredEncoder.open(encoder, known);
  const vectors = await encodeCorpus(knowing, documentsOf(corpus, shard, signal), {
    ...{ folder: place, corpusHash: contentKey({ corpusHash, shard }), count, signal, progress },
  });
  await vectors.close();
  const names = vectorFiles(vectors.folder).map((file) => relative(resolve(folder), file));
  await sealShard(resolve(folder), shard, { items, common, names });
  return count;
}

async function* documentsOf(corpus: ShardedCorpus, shard: Shard, signal?: AbortSignal): AsyncGenerator<Document> {
  for await (const document of corpus.documents(signal)) if (isInShard(shard, document.id)) yield document;
}

async function countDocuments(corpus: ShardedCorpus, shard: Shard, signal?: AbortSignal): Promise<number> {
  let count = 0;
  for await (const _document of documentsOf(corpus, shard, signal)) count++;
  return count;
}

function itemsOf(corpusHash: string, shard: Shard): string {
  return contentKey({ corpusHash, shard });
}

const commonSchema = z.object({
  encoder: z.object({
    id: z.string(),
    fingerprint: z.string(),
    dimensions: z.int().positive(),
    settings: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  }),
  corpus: z.string(),
});

function commonOf(
  { id, fingerprint, documentFingerprint = fingerprint, dimensions, settings }: Encoder,
  corpus: string,
) {
  return { encoder: { id, fingerprint: documentFingerprint, dimensions, settings: { ...settings } }, corpus };
}

/**
 * Puts the vectors of all finished shards where {@link encodeCorpus} puts those of a whole corpus, in the same order.
 * @param folder of the shards
 * @param into the folder of all vectors
 * @throws DataError that names the shard if one is missing, unfinished, cut or made for another corpus
 */
export async function joinVectorShards(
  corpus: ShardedCorpus,
  { folder, into, signal, progress }: Options & { folder: string; into: string },
): Promise<VectorFile> {
  const corpusHash = await corpus.corpusHash(signal);
  const wanted = (of: number) => Array.from({ length: of }, (_none, at) => itemsOf(corpusHash, { index: at + 1, of }));
  const seals = await readSeals(resolve(folder), wanted, 'another corpus');
  const encoder = await JoinedVectors.open(resolve(folder), seals);
  const count = seals.reduce((sum, { items }) => sum + items.count, 0);
  return encodeCorpus(encoder, corpus.documents(signal), { folder: into, corpusHash, count, signal, progress });
}

/** Where the vectors of a text are. */
interface Found {
  shard: number;
  row: number;
}

/** An encoder that knows only the texts of the shards. */
class JoinedVectors implements Encoder {
  readonly id: string;
  readonly fingerprint: string;
  readonly dimensions: number;
  readonly settings: Encoder['settings'];
  readonly #folder: string;
  readonly #shards: readonly StoredVectors[];

  private constructor(folder: string, encoder: z.output<typeof commonSchema>['encoder'], shards: StoredVectors[]) {
    [this.id, this.fingerprint] = [encoder.id, encoder.fingerprint];
    [this.dimensions, this.settings] = [encoder.dimensions, encoder.settings];
    [this.#folder, this.#shards] = [folder, shards];
  }

  static async open(folder: string, seals: readonly Seal[]): Promise<JoinedVectors> {
    const { encoder } = commonSchema.parse(seals[0]!.common);
    const shards: StoredVectors[] = [];
    for (const { files } of seals) {
      const [first] = Object.keys(files);
      // An empty shard has no files.
      if (first !== undefined) shards.push(await StoredVectors.open(join(folder, dirname(first)), encoder.dimensions));
    }
    return new JoinedVectors(folder, encoder, shards);
  }

  async encode(texts: readonly string[], _role: 'query' | 'document', options: EncodeOptions = {}) {
    const vectors = new Float32Array(texts.length * this.dimensions);
    const wanted = this.#shards.map(() => new Map<number, number>());
    for (const [place, text] of texts.entries()) {
      const { shard, row } = this.#find(text);
      wanted[shard]!.set(place, row);
      if (this.#shards[shard]!.isCut(row)) options.onCut?.(place);
    }
    for (const [shard, rows] of wanted.entries()) await this.#shards[shard]!.read(rows, vectors);
    options.onTexts?.(texts.length);
    return vectors;
  }

  async close(): Promise<void> {}

  #find(text: string): Found {
    for (const [shard, stored] of this.#shards.entries()) {
      const row = stored.find(text);
      if (row !== undefined) return { shard, row };
    }
    throw new DataError('the shards hold no vector of a text of this corpus', {
      file: this.#folder,
      fix: 'Remove this folder, and make the shards again.',
    });
  }
}
