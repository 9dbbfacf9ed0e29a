import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { runCommandLine } from '../src/cli/run.ts';
import { captureOutput } from './support/captured-output.ts';
import { type LocalServer, startServer } from './support/local-server.ts';
import { tinyPairs } from './support/tiny-pairs.ts';

/** Stands for the hub, BEIR's place and any other server: whatever reaches it was a connection. */
let server: LocalServer;
let folder: string;
beforeAll(async () => {
  server = await startServer((_request, response) => response.writeHead(404).end());
  folder = await mkdtemp(join(tmpdir(), 'offline-'));
  await mkdir(join(folder, 'data/qrels'), { recursive: true });
  const files = {
    'data/corpus.jsonl': '{"_id":"d1","title":"","text":"a saw cuts wood"}\n',
    'data/queries.jsonl': '{"_id":"q1","text":"saw"}\n',
    'data/qrels/test.tsv': 'query-id\tcorpus-id\tscore\nq1\td1\t1\n',
    'data/qrels/train.tsv': 'query-id\tcorpus-id\tscore\nq1\td1\t1\n',
    'data/candidates.jsonl': '',
    'recipe.yaml': `name: tiny\ndata:\n  kind: beir\n  folder: ${folder}/data\n  devSplit: test\n`,
    'pairs.jsonl': `${tinyPairs(8)
      .map((pair) => JSON.stringify(pair))
      .join('\n')}\n`,
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** Runs a command with an empty store and this environment. */
async function run(words: string, environment: Record<string, string> = {}) {
  const before = server.requests.length;
  for (const name of ['LLM_QE_OFFLINE', 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE']) vi.stubEnv(name, undefined);
  const given = {
    LLM_QE_HOME: join(folder, 'home'),
    HF_HOME: join(folder, 'hf'),
    HF_ENDPOINT: server.url,
    LLM_QE_BEIR_URL: server.url,
    OPENAI_API_KEY: 'key',
    // No pip: the other source of models fails at once.
    PATH: join(folder, 'nothing'),
    ...environment,
  };
  for (const [name, value] of Object.entries(given)) vi.stubEnv(name, value);
  const printed = captureOutput();
  const places = words.replaceAll('DATA', join(folder, 'data')).replaceAll('TMP', folder).replaceAll('URL', server.url);
  const code = await runCommandLine(places.split(' '));
  return { code, err: printed.err, connections: server.requests.length - before };
}

const COMMANDS = [
  'search --corpus DATA --query saw',
  'search --corpus DATA --query saw --expand --retriever bm25',
  'evaluate --dataset DATA',
  'expand --dataset DATA --out TMP/expansions.jsonl',
  'candidates --dataset DATA',
  'answers --dataset DATA',
  'reward --dataset DATA --reward rank-gold',
  'train generator --pairs TMP/pairs.jsonl --out TMP/run',
  'align TMP/recipe.yaml --out TMP/align',
  'align demo --out TMP/align-demo',
  'demo --fast --out TMP/demo',
  'models pull hf:owner/name',
  'models inspect hf:owner/name',
  'models merge --base hf:owner/name --adapter src/models/goldens/adapters/plain --out TMP/merged',
  'models export --base hf:owner/name --to gguf --out TMP/x.gguf',
  'data beir scifact --out TMP/beir',
];

describe.each(COMMANDS)('%s', (words) => {
  test('makes no connection when the environment says so', async () => {
    const { code, err, connections } = await run(words, { LLM_QE_OFFLINE: '1' });
    expect(err).toContain('connections are switched off by LLM_QE_OFFLINE');
    expect(err).toContain('--no-offline');
    expect({ code, connections }).toEqual({ code: 1, connections: 0 });
  });
});

test.each([
  ['--offline', {}, 0],
  ['', { HF_HUB_OFFLINE: '1' }, 0],
  ['', { HF_HUB_OFFLINE: '0', TRANSFORMERS_OFFLINE: 'yes' }, 0],
  ['', { LLM_QE_OFFLINE: 'TRUE' }, 0],
  ['--offline', { LLM_QE_OFFLINE: '0' }, 0],
  ['--no-offline', { LLM_QE_OFFLINE: '1', HF_HUB_OFFLINE: '1' }, 1],
  ['', { LLM_QE_OFFLINE: '0', HF_HUB_OFFLINE: '1' }, 1],
  ['', { LLM_QE_OFFLINE: '', HF_HUB_OFFLINE: '' }, 1],
  ['', {}, 1],
])('the option %j comes before the environment %j', async (option, environment, least) => {
  const { connections } = await run(`evaluate --dataset DATA --encoder hf:owner/name ${option}`.trim(), environment);
  expect(Math.min(connections, 1)).toBe(least);
});

test.each([
  ['evaluate --dataset DATA --encoder URL/v1 --encoder-model m', { LLM_QE_OFFLINE: '1' }, 0],
  ['evaluate --dataset DATA --encoder URL/v1 --encoder-model m --offline', {}, 0],
  ['expand --dataset DATA --out TMP/y.jsonl --generator URL/v1 --model m', { LLM_QE_OFFLINE: '1' }, 0],
  ['expand --dataset DATA --out TMP/y.jsonl --generator URL/v1 --model m', { HF_HUB_OFFLINE: '1' }, 1],
])('servers: %s with %j', async (words, environment, least) => {
  const { connections, err } = await run(words, environment);
  expect(Math.min(connections, 1)).toBe(least);
  expect(err.includes('connections are switched off')).toBe(least === 0);
});

test('a value that is neither yes nor no is refused by its name', async () => {
  const { code, err } = await run('models pull hf:owner/name', { LLM_QE_OFFLINE: 'maybe' });
  expect(code).toBe(2);
  expect(err).toContain('LLM_QE_OFFLINE is "maybe", neither yes nor no');
});

test.each(['hf_x\nSECRET', 'hf_x SECRET', 'hf_ключSECRET'])(
  'a token that no header carries is not printed',
  async (token) => {
    const { code, err, connections } = await run('models pull hf:owner/name', { HF_TOKEN: token });
    expect({ code, connections }).toEqual({ code: 2, connections: 0 });
    expect(err).toContain('HF_TOKEN');
    expect(err).not.toContain('SECRET');
  },
);
