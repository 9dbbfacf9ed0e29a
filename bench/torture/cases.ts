import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { tinyPairs } from '../../test/support/tiny-pairs.ts';

export interface TortureCase {
  name: string;
  /** Writes the command's input into an empty folder. */
  prepare(folder: string): void;
  /** The command's arguments; it runs in the folder. */
  words(servers: { models: string; hub: string }): string[];
}

const LLAMA = resolve('src/nn/goldens/llama');
const ADAPTER = resolve('src/models/goldens/adapters/plain');
const QUERIES = 6;

function lines(records: readonly object[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}

function dataset(folder: string): void {
  mkdirSync(join(folder, 'data/qrels'), { recursive: true });
  const numbers = Array.from({ length: 4 * QUERIES }, (_, index) => index);
  const text = (index: number) => `document ${index} of the sea, tide ${index % 5} and honey ${index % 3}`;
  writeFileSync(
    join(folder, 'data/corpus.jsonl'),
    lines(numbers.map((index) => ({ _id: `d${index}`, text: text(index) }))),
  );
  const queries = numbers.slice(0, QUERIES);
  writeFileSync(
    join(folder, 'data/queries.jsonl'),
    lines(queries.map((index) => ({ _id: `q${index}`, text: `tide ${index}` }))),
  );
  for (const split of ['train', 'test']) {
    const rows = queries.map((index) => `q${index}\td${index}\t1\n`).join('');
    writeFileSync(join(folder, `data/qrels/${split}.tsv`), `query-id\tcorpus-id\tscore\n${rows}`);
  }
}

function candidates(folder: string): void {
  dataset(folder);
  const records = Array.from({ length: QUERIES }, (_, query) =>
    ['sea and tide', `honey ${query}`, 'glass moon fire', `tide ${query} of the sea`].map((text, index) => ({
      ...{ queryId: `q${query}`, candidateId: `q${query}#${index}`, index, temperature: 0.8, seed: index, text },
    })),
  ).flat();
  writeFileSync(join(folder, 'data/candidates.jsonl'), lines(records));
}

function rewards(folder: string): void {
  candidates(folder);
  const records = Array.from({ length: QUERIES }, (_, query) =>
    [1, 0.25, 0.5, 0.75].map((total, index) => ({
      ...{ queryId: `q${query}`, candidateId: `q${query}#${index}`, rewards: { 'rank-gold': total } },
      ...{ similarity: { gold: 0.6 + total / 4 }, ranks: { gold: Math.round(1 / total) }, total },
    })),
  ).flat();
  writeFileSync(join(folder, 'data/rewards.jsonl'), lines(records));
}

function base(folder: string): void {
  mkdirSync(join(folder, 'base'));
  for (const name of ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'])
    cpSync(join(LLAMA, name), join(folder, 'base', name));
  cpSync(ADAPTER, join(folder, 'adapter'), { recursive: true });
}

/** A base with a tokenizer of the kind that GGUF files hold. */
function ggufBase(folder: string): void {
  base(folder);
  const pre_tokenizer = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
  const model = { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] };
  writeFileSync(join(folder, 'base/tokenizer.json'), JSON.stringify({ pre_tokenizer, model }));
}

function pairs(folder: string): void {
  base(folder);
  writeFileSync(join(folder, 'pairs.jsonl'), lines(tinyPairs(10)));
}

const generator = (url: string) => ['--generator', url, '--model', 'm', '--max-tokens', '16', '--concurrency', '2'];
const encoder = (url: string) => ['--encoder', url, '--encoder-model', 'm'];

export const CASES: readonly TortureCase[] = [
  {
    name: 'evaluate (BM25)',
    prepare: dataset,
    words: () => [...'evaluate --dataset data --retriever bm25 --run-out run.trec --report report.html'.split(' ')],
  },
  {
    name: 'evaluate (dense)',
    prepare: dataset,
    words: ({ models }) => ['evaluate', '--dataset', 'data', '--run-out', 'run.trec', ...encoder(models)],
  },
  {
    name: 'expand',
    prepare: dataset,
    words: ({ models }) => ['expand', '--dataset', 'data', '--deterministic', ...generator(models)],
  },
  {
    name: 'candidates',
    prepare: dataset,
    words: ({ models }) => ['candidates', '--dataset', 'data', '--samples', '2', ...generator(models)],
  },
  { name: 'answers', prepare: dataset, words: ({ models }) => ['answers', '--dataset', 'data', ...generator(models)] },
  {
    name: 'reward',
    prepare: candidates,
    words: ({ models }) => ['reward', '--dataset', 'data', '--reward', 'rank-gold', ...encoder(models)],
  },
  {
    name: 'pairs',
    prepare: rewards,
    words: () => 'pairs --dataset data --task q2d --min-similarity 0 --report audit.html'.split(' '),
  },
  {
    name: 'train generator',
    prepare: pairs,
    words: () =>
      'train generator --pairs pairs.jsonl --base base --out run --max-length 120 --threads 1 --epochs 1 --batch-size 4 --dev-size 2 --eval-steps 1 --save-steps 1'.split(
        ' ',
      ),
  },
  {
    name: 'models export (GGUF)',
    prepare: ggufBase,
    words: () => 'models export --base base --adapter adapter --to gguf --out merged.gguf'.split(' '),
  },
  {
    name: 'models export (adapter)',
    prepare: base,
    words: () => 'models export --base base --adapter adapter --to peft --out copy'.split(' '),
  },
  {
    name: 'models merge',
    prepare: base,
    words: () => 'models merge --base base --adapter adapter --out merged'.split(' '),
  },
  { name: 'models pull', prepare() {}, words: () => 'models pull hf:owner/name'.split(' ') },
  {
    name: 'data wordnet',
    prepare() {},
    words: () => 'data wordnet --out words --corpus 300 --train 5 --dev 5 --test 5'.split(' '),
  },
];
