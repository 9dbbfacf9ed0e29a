import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DOCUMENTS, FiveEncoder } from '../../../test/support/five-documents.ts';
import type { Document } from '../../data/index.ts';
import { type EncodeOptions, encodeCorpus, type TextRole } from '../../embed/index.ts';
import { encodeShard, joinVectorShards, type ShardedCorpus } from './vector-shards.ts';

const SHARDS = [1, 2].map((index) => ({ index, of: 2 }));

/** Says which texts are longer than its limit. */
class CuttingEncoder extends FiveEncoder {
  override readonly settings = { pooling: 'none', maxLength: 2 };

  override async encode(texts: readonly string[], role: TextRole, options: EncodeOptions = {}): Promise<Float32Array> {
    for (const [row, text] of texts.entries()) if (isLong(text)) options.onCut?.(row);
    return super.encode(texts, role);
  }
}

const isLong = (text: string) => text.length > 13;
const textOf = ({ title, text }: Document) => `${title} ${text}`.trim();

function corpusOf(documents: readonly Document[]): ShardedCorpus {
  return {
    async *documents() {
      yield* documents;
    },
    corpusHash: async () => `corpus of ${documents.length}`,
  };
}

async function encodeShards(encoder: FiveEncoder, folder: string, known: string): Promise<void> {
  for (const shard of SHARDS) await encodeShard(encoder, corpusOf(DOCUMENTS), { folder, shard, known });
}

const encodedTexts = ({ calls }: FiveEncoder) => calls.flatMap(([, ...texts]) => texts).sort();

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vector-shards-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('encodeShard', () => {
  it('does not encode what this machine has stored, in another corpus or all at once', async () => {
    const known = join(folder, 'vectors');
    const [first, ...others] = DOCUMENTS;
    const corpus = corpusOf(others);
    await encodeCorpus(new CuttingEncoder(), corpus.documents(), { folder: known, corpusHash: 'others' });
    const encoder = new CuttingEncoder();
    await encodeShards(encoder, join(folder, 'shards'), known);
    expect(encodedTexts(encoder)).toEqual([textOf(first!)]);

    // What is joined is what a machine without any vectors makes.
    const fresh = new CuttingEncoder();
    await encodeShards(fresh, join(folder, 'fresh-shards'), join(folder, 'nothing'));
    expect(encodedTexts(fresh)).toEqual(DOCUMENTS.map(textOf).sort());
    const [joined, expected] = await Promise.all(
      ['shards', 'fresh-shards'].map(async (name) => {
        const into = join(folder, `${name}-joined`);
        const file = await joinVectorShards(corpusOf(DOCUMENTS), { folder: join(folder, name), into });
        const rows: number[] = [];
        for await (const { vectors } of file.chunks(10)) rows.push(...vectors);
        await file.close();
        return { rows, ids: file.ids, cut: file.manifest.cut };
      }),
    );
    expect(joined).toEqual(expected);
    expect(joined!.cut).toEqual({ documents: DOCUMENTS.map(textOf).filter(isLong).length, tokens: 2 });
  });

  it('does not take the vectors of another encoder', async () => {
    const known = join(folder, 'vectors');
    await encodeCorpus(new FiveEncoder(), corpusOf(DOCUMENTS).documents(), { folder: known, corpusHash: 'all' });
    const other = new (class extends FiveEncoder {
      override readonly fingerprint = 'five-2';
    })();
    await encodeShards(other, join(folder, 'shards'), known);
    expect(encodedTexts(other)).toHaveLength(DOCUMENTS.length);
  });
});
