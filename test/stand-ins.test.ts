import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { runCommandLine } from '../src/cli/run.ts';
import { captureOutput } from './support/captured-output.ts';
import { tinyPairs } from './support/tiny-pairs.ts';

const STAND_INS = {
  lfs: [
    `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 134\n`,
    ', but a Git LFS pointer',
    'git lfs pull',
  ],
  page: ['<!doctype html><title>Log in</title>', ', but a web page', 'log in'],
  answer: ['Entry not found', "a server's message", 'revision'],
  object: ['{"error":{"message":"Invalid credentials","type":"auth"}}', '"Invalid credentials"', 'access'],
  utf16: [Buffer.from('\ufeff{"_id":"d1"}\n', 'utf16le'), ', but text in UTF-16', 'Save the file in UTF-8'],
  zeros: [Buffer.alloc(64), ', but nothing but zero bytes', 'download the file again'],
} as const;

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stand-ins-'));
  await cp('src/embed/goldens/tiny-encoder', at('encoder'), { recursive: true });
  await cp('src/nn/goldens/llama', at('llm'), { recursive: true });
  await cp('src/models/goldens/adapters/plain', at('adapter'), { recursive: true });
  await mkdir(at('data/qrels'), { recursive: true });
  const data = {
    'corpus.jsonl': '{"_id":"d1","text":"a saw"}\n',
    'queries.jsonl': '{"_id":"q1","text":"saw"}\n',
    'qrels/test.tsv': 'query-id\tcorpus-id\tscore\nq1\td1\t1\n',
  };
  for (const [name, content] of Object.entries(data)) await writeFile(at(`data/${name}`), content);
  const pairs = tinyPairs(8).map((pair) => JSON.stringify(pair));
  await writeFile(at('pairs.jsonl'), `${pairs.join('\n')}\n`);
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const DENSE = 'evaluate --dataset DIR/data --encoder DIR/encoder';
const TRAIN = 'train generator --pairs DIR/pairs.jsonl --base DIR/llm --out DIR/run --max-steps 1';
const MERGE = 'models merge --base DIR/llm --adapter DIR/adapter --out DIR/merged';
/** Each kind of file, and a command that opens it. */
const FILES: [file: string, command: string][] = [
  ['encoder/model.safetensors', DENSE],
  ['encoder/config.json', DENSE],
  ['encoder/tokenizer.json', DENSE],
  ['encoder/modules.json', DENSE],
  ['alone/pytorch_model.bin', 'models inspect DIR/alone'],
  ['alone/x.gguf', 'models inspect DIR/alone/x.gguf'],
  ['alone/y.gguf', 'expand --dataset DIR/data --generator DIR/alone/y.gguf --out DIR/e.jsonl'],
  ['shards/model.safetensors.index.json', 'models inspect DIR/shards'],
  ['llm/model.safetensors', TRAIN],
  ['llm/config.json', TRAIN],
  ['llm/config.json', 'models export --base DIR/llm --to gguf --out DIR/x.gguf'],
  ['adapter/adapter_model.safetensors', MERGE],
  ['adapter/adapter_config.json', MERGE],
  ['data/corpus.jsonl', 'search --corpus DIR/data --query x --retriever bm25'],
  ['data/queries.jsonl', DENSE],
  ['data/qrels/test.tsv', DENSE],
  ['pairs.jsonl', TRAIN],
  ['prompt.txt', 'expand --dataset DIR/data --prompt DIR/prompt.txt --out DIR/e.jsonl'],
  ['recipe.yaml', 'align DIR/recipe.yaml --plan'],
  ['dict/data.noun', 'data wordnet --dict DIR/dict --out DIR/words'],
  ['encoder/sentence_bert_config.json', DENSE],
  ['encoder/tokenizer_config.json', DENSE],
  ['llm/tokenizer.json', 'models export --base DIR/llm --to gguf --out DIR/x.gguf'],
  ['run.trec', 'score --qrels DIR/data/qrels/test.tsv --run DIR/run.trec'],
];

const KINDS = Object.keys(STAND_INS);
test.each(FILES.map(([file, words], index) => [KINDS[index % KINDS.length]!, file, words] as const))(
  '%s in place of %s, seen by %s',
  async (kind, file, words) => {
    const [content, says, fix] = STAND_INS[kind as keyof typeof STAND_INS];
    await mkdir(dirname(at(file)), { recursive: true });
    await cp(at(file), `${at(file)}.kept`).catch(() => {});
    await writeFile(at(file), content);
    vi.stubEnv('LLM_QE_HOME', at('home'));
    const printed = captureOutput();
    try {
      const code = await runCommandLine(words.replaceAll('DIR', folder).split(' '));
      const all = printed.err + printed.out;
      expect(all).toContain(at(file));
      expect(all).toContain(says);
      expect(all.toLowerCase()).toContain(fix.toLowerCase());
      expect(code).not.toBe(0);
    } finally {
      await cp(`${at(file)}.kept`, at(file)).catch(() => {});
    }
  },
);
