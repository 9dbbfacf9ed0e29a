import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CapturedOutput, captureOutput } from '../../../test/support/captured-output.ts';
import { ChatServer } from '../../../test/support/chat-server.ts';
import type { DemoResult, DemoSettings } from '../../pipeline/index.ts';
import { runCommandLine } from '../run.ts';
import { nextLine, studioLine } from './demo.ts';

let folder: string;
let printed: CapturedOutput;
let server: ChatServer;
const at = (name: string) => join(folder, name);
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-search-'));
  printed = captureOutput();
  vi.stubEnv('LLM_QE_HOME', at('home'));
  server = await ChatServer.start();
  const documents = ['a saw cuts wood', 'a boat floats', 'a lighthouse shines'];
  writeFileSync(
    at('docs.jsonl'),
    documents.map((text, row) => `${JSON.stringify({ _id: `d${row}`, text })}\n`).join(''),
  );
  const kept = { _id: 'q1', text: 'What is a  tool?', 0: 0 };
  writeFileSync(
    at('queries_own.jsonl'),
    `${JSON.stringify({ ...kept, text: ['What is a  tool?', 'a saw'] })}\n{"_id":"q2","text":"plain"}\n`,
  );
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await server.stop();
  rmSync(folder, { recursive: true });
});

const search = (query: string, ...more: string[]) =>
  runCommandLine(['search', '--corpus', at('docs.jsonl'), '--retriever', 'bm25', '--json', '--query', query, ...more]);
const withFile = ['--expand', '--expansions'];

describe('search --expansions', () => {
  it.each(['What is a  tool?', 'What is a tool?'])(
    'takes the passages of the very same query (%j), and asks no LLM',
    async (query) => {
      expect(
        await search(query, ...withFile, at('queries_own.jsonl'), '--generator', server.baseUrl),
        printed.err,
      ).toBe(0);
      expect(JSON.parse(printed.out)).toMatchObject({ expansions: ['a saw'], documents: [{ id: 'd0' }] });
      expect(server.calls).toHaveLength(0);
    },
  );

  it.each(['plain', 'What is a boat?'])(
    'lets the LLM write for a query that the file has no passage of (%j)',
    async (query) => {
      expect(
        await search(query, ...withFile, at('queries_own.jsonl'), '--generator', server.baseUrl),
        printed.err,
      ).toBe(0);
      expect(server.calls).toHaveLength(1);
    },
  );

  it('is refused without --expand', async () => {
    expect(await search('plain', '--expansions', at('queries_own.jsonl'))).toBe(2);
    expect(printed.err).toContain('--expansions works only with --expand');
  });
});

describe('the command line printed after the demo', () => {
  const sampling = { temperature: 1, topP: 0.9, topK: 0, maxTokens: 32 };
  const next = {
    query: 'Who is "Kuan Yin"?',
    queriesFile: 'runs/demo/queries_own.jsonl',
    promptFile: 'runs/demo/prompt.txt',
    sampling,
  };
  const result = { dataFolder: 'runs/demo/wordnet', next } as unknown as DemoResult;
  const settings = {
    ...{ generator: 'smollm2-135m-instruct', adapters: [], encoder: 'all-minilm-l6-v2', alpha: 0.8, seed: 42 },
    ...{ threads: undefined, offline: undefined },
  } as unknown as DemoSettings;

  it("searches for a query of the report with the demo's own settings", () => {
    expect(nextLine(result, settings)).toBe(
      `npx llm-qe search --corpus runs/demo/wordnet --query 'Who is "Kuan Yin"?' --expand --expansions runs/demo/queries_own.jsonl --prompt runs/demo/prompt.txt --max-tokens 32 --alpha 0.8`,
    );
  });

  it('names what differs from the defaults of search', () => {
    const other = {
      ...settings,
      generator: './big.gguf',
      adapters: ['runs/a b'],
      encoder: 'bge-small-en-v1.5',
      seed: 7,
    };
    expect(
      nextLine({ ...result, next: { ...next, sampling: { ...sampling, topK: 40 } } } as DemoResult, other),
    ).toMatch(/ --top-k 40 --seed 7 --generator \.\/big\.gguf --adapter "runs\/a b" --encoder bge-small-en-v1\.5$/);
  });

  it('ends with the command that shows the run in the studio', () => {
    const whole = { ...result, reportFile: 'runs/demo/report.html' } as DemoResult;
    expect(studioLine(whole, settings)).toBe(
      'npx llm-qe studio --runs runs --corpus runs/demo/wordnet --prompt runs/demo/prompt.txt --max-tokens 32 --alpha 0.8',
    );
    expect(studioLine(whole, { ...settings, generator: './big.gguf' })).toMatch(/ --generator \.\/big\.gguf$/);
  });
});
