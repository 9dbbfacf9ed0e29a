import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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
const ENCODER = resolve('src/embed/goldens/tiny-encoder');
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

/** Every stage of an alignment, on models with a few thousand weights. */
function smoke(folder: string): void {
  const words = ['saw', 'boat', 'bird', 'tree', 'cat', 'cup', 'hat', 'sun'];
  const set = join(folder, 'set');
  mkdirSync(join(set, 'qrels'), { recursive: true });
  writeFileSync(
    join(set, 'corpus.jsonl'),
    lines(words.map((word, at) => ({ _id: `d${at}`, text: `a ${word} is a ${word}` }))),
  );
  writeFileSync(join(set, 'queries.jsonl'), lines(words.map((text, at) => ({ _id: `q${at}`, text }))));
  for (const [split, rows] of Object.entries({ train: [0, 1, 2, 3], dev: [4, 5], test: [6, 7] })) {
    const judged = rows.map((at) => `q${at}\td${at}\t1\n`).join('');
    writeFileSync(join(set, 'qrels', `${split}.tsv`), `query-id\tcorpus-id\tscore\n${judged}`);
  }
  writeFileSync(join(folder, 'prompt.txt'), '{query}\n');
  writeFileSync(join(folder, 'answer.txt'), '{query} {document}\n');
  const recipe = {
    name: 'smoke',
    data: { kind: 'beir', folder: set },
    // One text at a time: a resumed run would compute other batches, with other last digits.
    generator: { model: resolve('src/generate/goldens/tiny-llama.gguf'), context: 64, sequences: 1 },
    encoder: { model: ENCODER },
    prompt: join(folder, 'prompt.txt'),
    candidates: { samples: 2, temperatures: [1, 1.5], maxTokens: 6 },
    answers: { prompt: join(folder, 'answer.txt'), maxTokens: 6 },
    reward: { weights: { 'similarity-gold': 1, 'similarity-answer': 0.5 } },
    pairs: { minSimilarity: -2, dev: 0 },
    dpo: { epochs: 1, batchSize: 2, maxLength: 64, learningRate: 0.001 },
    sft: { epochs: 1, batchSize: 2, maxLength: 64 },
    expansion: { maxTokens: 6 },
    evaluation: { alphas: [0, 0.5], judges: ['bm25'], depth: 5 },
  };
  // JSON is YAML.
  writeFileSync(join(folder, 'smoke.yaml'), JSON.stringify(recipe));
}

function retrieverRows(folder: string): void {
  dataset(folder);
  const rows = Array.from({ length: 8 }, (_, at) => ({
    ...{ query: `tide ${at}`, pseudo_doc: `river ${at}`, pos: [`stone bridge ${at}`], neg: [`glass ${at}`] },
  }));
  writeFileSync(join(folder, 'rows.jsonl'), lines(rows));
}

/** A data set, and an index of some of its documents. */
function indexed(folder: string): void {
  dataset(folder);
  const documents = readFileSync(join(folder, 'data/corpus.jsonl'), 'utf8').split('\n');
  for (const [name, some] of Object.entries({ first: documents.slice(0, 9), second: documents.slice(6, 14) })) {
    writeFileSync(join(folder, `${name}.jsonl`), `${some.join('\n')}\n`);
    const words = `${name === 'first' ? 'build' : 'add'} idx ${name}.jsonl${name === 'first' ? ` --encoder ${ENCODER}` : ''}`;
    const env = { ...process.env, LLM_QE_HOME: join(folder, '../home') };
    execFileSync(process.execPath, [resolve('build/src/cli/main.js'), 'index', ...words.split(' ')], {
      ...{ cwd: folder, env, stdio: 'ignore' },
    });
  }
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
    name: 'index build',
    prepare: dataset,
    words: ({ models }) => ['index', 'build', 'idx', 'data', '--passages', '4/1', ...encoder(models)],
  },
  { name: 'index add', prepare: indexed, words: () => 'index add idx data'.split(' ') },
  { name: 'index remove', prepare: indexed, words: () => 'index remove idx d1 d7 d13'.split(' ') },
  { name: 'index compact', prepare: indexed, words: () => 'index compact idx'.split(' ') },
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
    name: 'train retriever',
    prepare: retrieverRows,
    words: () => [
      ...`train retriever --data rows.jsonl --encoder ${ENCODER} --out run --dev data --dev-split test`.split(' '),
      ...'--batch-size 4 --epochs 1 --eval-steps 1 --save-steps 1 --threads 1'.split(' '),
    ],
  },
  {
    name: 'data retriever',
    prepare: dataset,
    words: ({ models }) => ['data', 'retriever', '--dataset', 'data', '--out', 'rows', ...generator(models)],
  },
  {
    name: 'mine',
    prepare: retrieverRows,
    words: () =>
      `mine --rows rows.jsonl --corpus data --encoder ${ENCODER} --retriever both --scores --threads 1 --out mined.jsonl`.split(
        ' ',
      ),
  },
  {
    name: 'align (smoke)',
    prepare: smoke,
    words: () => 'align smoke.yaml --out run --threads 1'.split(' '),
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
