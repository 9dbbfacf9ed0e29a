import { resolve } from 'node:path';
import type { Case } from './bad-data-cases.ts';
import { refusal } from './chat-server.ts';
import { zipArchive } from './zip-writer.ts';

const ENCODER = resolve('src', 'embed', 'goldens', 'tiny-encoder');

const header = (text: string) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([bytes, Buffer.from(text), Buffer.alloc(8)]);
};
/** GGUF version 3 with counts of tensors and metadata entries, and nothing behind them. */
const gguf = (tensors: bigint, entries: bigint) => {
  const bytes = Buffer.alloc(24);
  bytes.write('GGUF');
  bytes.writeUInt32LE(3, 4);
  bytes.writeBigUInt64LE(tensors, 8);
  bytes.writeBigUInt64LE(entries, 16);
  return bytes;
};
const pickle = zipArchive([{ name: 'archive/data.pkl', content: '\u0063os\nsystem\n(S"touch pwned"\ntR.' }]);

/** Broken and missing models. */
export const modelCases: Case[] = [
  {
    what: 'a truncated GGUF',
    words: 'models inspect {m.gguf}',
    files: { 'm.gguf': gguf(0n, 0n).subarray(0, 15) },
    says: /m\.gguf: the file ends inside its header/,
    fix: /./,
  },
  {
    what: 'a GGUF with more tensors than bytes',
    words: 'models inspect {m.gguf}',
    files: { 'm.gguf': gguf(2n ** 60n, 0n) },
    says: /m\.gguf: claims \d+ tensors, more than it can hold/,
    fix: /./,
  },
  {
    what: 'a file that only ends in .gguf',
    words: 'models inspect {m.gguf}',
    files: { 'm.gguf': '<!DOCTYPE html><title>404</title>' },
    says: /m\.gguf: is not a GGUF file/,
    fix: /download/,
  },
  {
    what: 'a safetensors header that lies about offsets',
    words: 'models inspect {m.safetensors}',
    files: { 'm.safetensors': header('{"w":{"dtype":"F32","shape":[100],"data_offsets":[0,400]}}') },
    says: /m\.safetensors, id "w": .*byte 400/,
    fix: /./,
  },
  {
    what: 'a safetensors header longer than the file',
    words: 'models inspect {m.safetensors}',
    files: { 'm.safetensors': Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0x7b]) },
    says: /m\.safetensors: claims a header of/,
    fix: /./,
  },
  {
    what: 'a pickle that names os.system',
    words: 'models inspect {m.bin}',
    files: { 'm.bin': pickle },
    says: /os\.system.*not executed/,
    fix: /safetensors/,
  },
  {
    what: 'a model that nobody knows',
    words: 'models inspect __proto__',
    says: /"__proto__" is neither a known model/,
    fix: /all-minilm-l6-v2/,
  },
  {
    what: 'a model that is not there, without a connection',
    words: 'evaluate --dataset {set} --offline',
    says: /all-minilm-l6-v2.*not in the store/,
    fix: /models pull/,
  },
  {
    what: 'a generator for an encoder',
    words: 'evaluate --dataset {set} --encoder smollm2-135m-instruct',
    says: /is a generator, but an encoder is needed/,
    fix: /all-minilm-l6-v2/,
  },
  {
    what: 'a text length beyond the model',
    words: `evaluate --dataset {set} --encoder ${ENCODER} --max-length 100000`,
    code: 2,
    says: /100000/,
    fix: /at most/,
  },
];

/** Servers that are away or refuse, and what strangers send. */
export const networkCases: Case[] = [
  {
    what: 'a server that is not there',
    words: 'search --corpus {set} --query x --encoder {closed} --encoder-model m',
    says: /http:\/\/127\.0\.0\.1:\d+\/v1 cannot be reached/,
    fix: /address is right/,
  },
  {
    what: 'a server that answers 429 for good',
    words: 'expand --dataset {set} --generator {chat} --model toy --out {kept.trec} --force',
    chat: () => refusal(429, 'quota', {}, 'insufficient_quota'),
    says: /id "q\d\/0": .* 429/,
    fix: /quota/,
  },
  {
    what: 'a server whose context is too short for every prompt',
    words: 'expand --dataset {set} --generator {chat} --model toy --out {kept.trec} --force',
    chat: () => refusal(400, "This model's maximum context length is 64 tokens"),
    says: /no expansions were written: every prompt is longer than the context of toy/,
    fix: /--max-tokens.*longer context/,
  },
  {
    what: 'a server that wants a key',
    words: 'expand --dataset {set} --generator {chat} --model toy --out {kept.trec} --force',
    chat: () => refusal(401, 'who are you'),
    says: /status 401/,
    fix: /OPENAI_API_KEY/,
  },
  {
    what: 'an archive with ../',
    words: 'data beir evil --base-url {zip} --md5 {md5} --out {fetched}',
    zip: zipArchive([{ name: 'evil/../../kept.trec', content: 'x' }]),
    says: /evil\.zip.*(outside the folder|invalid relative path)/,
    fix: /./,
  },
  {
    what: 'an archive that is a bomb',
    words: 'data beir evil --base-url {zip} --md5 {md5} --out {fetched}',
    zip: zipArchive([{ name: 'evil/corpus.jsonl', content: Buffer.alloc(17 * 2 ** 20), deflate: true }]),
    says: /id "evil\/corpus\.jsonl": .*zip bomb/,
    fix: /Do not trust/,
  },
  {
    what: 'an archive of other bytes',
    words: `data beir evil --base-url {zip} --md5 ${'0'.repeat(32)} --out {fetched}`,
    zip: zipArchive([{ name: 'evil/corpus.jsonl', content: 'x' }]),
    says: /has MD5 [0-9a-f]{32}, but 0{32} was expected/,
    fix: /--md5/,
  },
  {
    what: 'a port that is always refused',
    words: 'data beir scifact --base-url http://127.0.0.1:9 --out {fetched}',
    says: /127\.0\.0\.1:9: .*this program refuse it/,
    fix: /another one/,
  },
  {
    what: 'an address that is not valid',
    words: 'data beir scifact --base-url ftp://x --out {fetched}',
    code: 2,
    says: /--base-url: expected an address/,
    fix: /--help/,
  },
  {
    what: 'a name that climbs out of the folder',
    words: 'data beir ../../evil --out {fetched}',
    code: 2,
    says: /not one of BEIR's data sets/,
    fix: /scifact/,
  },
];
