import type { Document } from '../../src/data/index.ts';
import { encodeCorpus, loadEncoder } from '../../src/embed/index.ts';
import { DEFAULT_ENCODER, ModelStore } from '../../src/models/index.ts';
import { ExactIndex } from '../../src/search/index.ts';
import { peakMemory, Random, sha256 } from '../../src/system/index.ts';

/**
 * A separate process because the peak of resident memory is measured per process. Arguments: number of documents, folder for the
 * vectors, threads. Prints peaks in bytes.
 */
const [documents, folder, threads] = [Number(process.argv[2]), process.argv[3]!, Number(process.argv[4])];

/** Each word is one token; with [CLS] and [SEP] the texts have 16 tokens. */
const WORDS_PER_TEXT = 14;
const WORDS = (
  'river stone house green letter music table winter garden paper city light horse bread glass summer road king ' +
  'water ship forest bridge field mountain school village island market train window'
).split(' ');
const QUERIES = 256;

async function* synthetic(count: number, seed: number): AsyncGenerator<Document> {
  const random = new Random(seed);
  for (let at = 0; at < count; at++) {
    const text = Array.from({ length: WORDS_PER_TEXT }, () => WORDS[random.below(WORDS.length)]).join(' ');
    yield { id: `document-${at}`, title: '', text };
  }
}

const peak = peakMemory;
const started = performance.now();
const model = await new ModelStore().resolve(DEFAULT_ENCODER, { kind: 'encoder' });
// Bytes are faster. 32-bit floats add their larger weights to the peak, which is a constant.
const encoder = await loadEncoder(model, { threads, precision: 'int8' });
const corpusHash = sha256(`synthetic ${documents}`);
const vectors = await encodeCorpus(encoder, synthetic(documents, 1), { folder, corpusHash, count: documents });
const encoding = peak();
const questions: string[] = [];
for await (const { text } of synthetic(QUERIES, 2)) questions.push(text);
const queries = await encoder.encode(questions, 'query');
// Nothing stays resident, so both sizes of corpus are read from disk.
const index = await ExactIndex.open(vectors, { threads, residentBytes: 0 });
const hits = await index.search(queries, 1000);
for (const { length } of hits) {
  if (length !== Math.min(1000, documents)) throw new Error('a query found too few documents');
}
await index.close();
await encoder.close();
await vectors.close();
console.log(JSON.stringify({ encoding, searching: peak(), seconds: (performance.now() - started) / 1000 }));
