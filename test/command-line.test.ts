import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Ended, llmQe } from './support/command-line.ts';

/** The command line as another program meets it: exit codes and both streams. `program` starts a process of the build. */
const PROGRAM = resolve('dist', 'cli', 'main.js');
const folder = mkdtempSync(join(tmpdir(), 'llm-qe-cli-'));
const environment = { ...process.env, LLM_QE_HOME: join(folder, 'home'), LLM_QE_OFFLINE: '1' };

function program(...words: string[]): Promise<Ended> {
  return new Promise((done) => {
    execFile(process.execPath, [PROGRAM, ...words], { env: environment }, (error, out, log) => {
      done({ code: error === null ? 0 : Number(error.code), out, log });
    });
  });
}

beforeAll(() => {
  vi.stubEnv('LLM_QE_HOME', environment.LLM_QE_HOME);
  vi.stubEnv('LLM_QE_OFFLINE', environment.LLM_QE_OFFLINE);
  mkdirSync(join(folder, 'set', 'qrels'), { recursive: true });
  const lines = (records: object[]) => `${records.map((record) => JSON.stringify(record)).join('\n')}\n`;
  const documents = ['a saw for cutting metal', 'a wooden boat', 'a large boat with sails', 'a bird of the sea'];
  writeFileSync(
    join(folder, 'set', 'corpus.jsonl'),
    lines(documents.map((text, row) => ({ _id: `d${row}`, title: '', text }))),
  );
  writeFileSync(
    join(folder, 'set', 'queries.jsonl'),
    lines([
      { _id: 'q1', text: 'metal saw' },
      { _id: 'q2', text: 'sailing boat' },
      { _id: 'q3', text: 'unheard word' },
    ]),
  );
  writeFileSync(
    join(folder, 'set', 'qrels', 'test.tsv'),
    'query-id\tcorpus-id\tscore\nq1\td0\t1\nq2\td2\t1\nq3\td3\t1\n',
  );
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

describe('evaluate', () => {
  it('prints one JSON document on stdout and nothing else, and counts a query that found nothing as zero', async () => {
    const run = join(folder, 'bm25.run');
    const { code, out } = await program(
      'evaluate',
      '--dataset',
      join(folder, 'set'),
      '--retriever',
      'bm25',
      '--run-out',
      run,
      '--json',
    );
    expect(code).toBe(0);
    expect(out.trim().split('\n')).toHaveLength(1);
    const document = JSON.parse(out);
    expect(document).toMatchObject({ dataset: 'set', split: 'test', retriever: 'bm25', queries: 3 });
    expect(document.measures['nDCG@10']).toBeCloseTo(2 / 3, 10);
    expect(document.measures['MRR@10']).toBeCloseTo(2 / 3, 10);
    expect(Object.keys(document.measures)).toContain('MAP@100');
    expect(readFileSync(run, 'utf8')).toMatch(/^q1 Q0 d0 1 /);
  });

  it('gives what score gives for the run it wrote', async () => {
    const run = join(folder, 'bm25.run');
    const qrels = join(folder, 'set', 'qrels', 'test.tsv');
    const { out } = await llmQe('score', '--qrels', qrels, '--run', run, '--complete', '--json');
    expect(JSON.parse(out).all.ndcg_cut_10).toBeCloseTo(2 / 3, 10);
  });

  it('writes a report of expansions, and refuses expansions of other queries', async () => {
    const file = join(folder, 'expansions.jsonl');
    const expansion = (query: string, text: string) =>
      JSON.stringify({
        query,
        sample: 0,
        text,
        finish: 'stop',
        promptTokens: 9,
        completionTokens: 5,
        milliseconds: 3,
        key: query,
      });
    writeFileSync(file, `${['q1', 'q2'].map((id) => expansion(id, 'a bird')).join('\n')}\n`);
    const words = ['evaluate', '--dataset', join(folder, 'set'), '--retriever', 'bm25', '--expansions', file];
    const refused = await llmQe(...words);
    expect(refused.code).toBe(1);
    expect(refused.log).toContain('id "q3": no expansion for this query');
    writeFileSync(file, `${['q1', 'q2', 'q3'].map((id) => expansion(id, 'a bird of the sea')).join('\n')}\n`);
    const report = join(folder, 'report.html');
    expect((await llmQe(...words, '--report', report)).code).toBe(0);
    expect(readFileSync(report, 'utf8')).toContain('unheard word');
    expect(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')).comparisons[0]).toMatchObject({ helped: 1 });
  });
});

describe('judgements of documents that the corpus lacks', () => {
  it('are named in a warning, since they can never be found', async () => {
    const qrels = 'query-id\tcorpus-id\tscore\nq1\td0\t1\nq1\td99\t1\nq2\td98\t0\n';
    writeFileSync(join(folder, 'set', 'qrels', 'lacking.tsv'), qrels);
    const words = ['evaluate', '--dataset', join(folder, 'set'), '--retriever', 'bm25', '--split', 'lacking', '--json'];
    const { code, out, log } = await llmQe(...words);
    expect(code).toBe(0);
    expect(log).toContain('warning: 1 relevant document of split lacking is not in the corpus (such as "d99")');
    expect(JSON.parse(out).measures['Recall@100']).toBeCloseTo(0.25, 10);
  });
});

describe('outputs', () => {
  it('never overwrite the data set', async () => {
    const corpus = join(folder, 'set', 'corpus.jsonl');
    const before = readFileSync(corpus);
    const run = ['evaluate', '--dataset', join(folder, 'set'), '--retriever', 'bm25', '--run-out', corpus];
    const out = ['expand', '--dataset', join(folder, 'set'), '--out', corpus];
    for (const words of [run, out]) expect((await llmQe(...words)).code).toBe(2);
    expect(readFileSync(corpus)).toEqual(before);
  });
});

describe('search', () => {
  it('ranks a file of documents without judgements', async () => {
    const corpus = join(folder, 'set', 'corpus.jsonl');
    const { code, out } = await llmQe('search', '--corpus', corpus, '--query', 'boat', '--retriever', 'bm25', '--json');
    expect(code).toBe(0);
    expect(
      JSON.parse(out)
        .documents.map(({ id }: { id: string }) => id)
        .sort(),
    ).toEqual(['d1', 'd2']);
  });
});

describe('wrong use', () => {
  it.each([
    [['evaluat'], 'Did you mean evaluate?'],
    [['evaluate', '--datset', 'x'], 'Did you mean --dataset?'],
    [['evaluate', '--dataset', 'x', '--alpha', '2'], '--alpha'],
    [['evaluate'], '--dataset'],
    [['data', 'merg', 'x'], 'merge'],
    [['score', '--qrels', 'x', '--run', 'y', 'surplus'], 'too many arguments'],
  ])('%j exits with 2 and says what was meant', async (words, said) => {
    const { code, out, log } = await llmQe(...words);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(log).toContain(said);
  });

  it.each([
    [['evaluate', '--dataset', '/nonexistent'], 'no such folder'],
    [['evaluate', '--dataset', join(folder, 'set'), '--split', 'dev'], 'has no split "dev"'],
    [['evaluate', '--dataset', join(folder, 'set'), '--encoder', 'all-minilm-l6-v3'], 'all-minilm-l6-v2'],
    [['score', '--qrels', '/nonexistent', '--run', 'y'], '/nonexistent'],
    [
      ['expand', '--dataset', join(folder, 'set'), '--generator', 'http://127.0.0.1:9/v1', '--model', 'm'],
      '127.0.0.1:9',
    ],
  ])('%j fails with what and how to fix it, without a stack trace', async (words, said) => {
    const { code, log } = await llmQe(...words);
    expect(code).not.toBe(0);
    expect(log).toContain(said);
    expect(log).toMatch(/^error: .+\n {2}\S/m);
    expect(log).not.toMatch(/^\s+at /m);
  });

  it('and failures have their exit codes and streams in a process too', async () => {
    const wrong = await program('evaluate', '--datset', 'x');
    expect(wrong).toEqual({ code: 2, out: '', log: expect.stringContaining('Did you mean --dataset?') });
    const failed = await program('score', '--qrels', '/nonexistent', '--run', 'y');
    expect(failed).toEqual({ code: 1, out: '', log: expect.stringMatching(/^error: .+\n {2}\S/m) });
  });

  it('prints help with defaults and examples for every command', async () => {
    const { out } = await llmQe('--help');
    const names = [...out.matchAll(/^ {2}(\w+) /gm)].map((match) => match[1]).filter((name) => name !== 'help');
    expect(names).toEqual(expect.arrayContaining(['demo', 'expand', 'evaluate', 'search', 'score', 'compare']));
    for (const name of ['demo', 'expand', 'evaluate', 'search', 'score', 'compare']) {
      const help = await llmQe(name, '--help');
      expect(help.code).toBe(0);
      expect(help.out).toContain('Examples:');
    }
  });
});

describe('Ctrl-C', () => {
  it('stops without waiting for the server, keeps what is done, says how to go on; the same command ends the work', async () => {
    let answered = 0;
    let slow = true;
    const server = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      if (request.method === 'GET') {
        response.end(JSON.stringify({ object: 'list', data: [{ id: 'm', object: 'model' }] }));
        return;
      }
      const answer = () => {
        answered++;
        const choice = {
          index: 0,
          finish_reason: 'stop',
          message: { role: 'assistant', content: `passage ${answered}` },
        };
        const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
        response.end(
          JSON.stringify({ id: 'x', object: 'chat.completion', created: 0, model: 'm', choices: [choice], usage }),
        );
      };
      request.resume().on('end', () => (answered === 0 || !slow ? answer() : setTimeout(answer, 60_000).unref()));
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const out = join(folder, 'stopped', 'expansions.jsonl');
    const online = { ...environment, LLM_QE_OFFLINE: '0' };
    const words = [
      'expand',
      '--dataset',
      join(folder, 'set'),
      '--generator',
      url,
      '--model',
      'm',
      '--concurrency',
      '1',
      '--out',
      out,
    ];
    const child = spawn(process.execPath, [PROGRAM, ...words], { env: online, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text) => {
      said += text;
    });
    await expect
      .poll(() => existsSync(`${out}.journal`) && readFileSync(`${out}.journal`, 'utf8'), { timeout: 100_000 })
      .toMatch(/passage 1/);
    const asked = performance.now();
    child.kill('SIGINT');
    const code = await new Promise((ended) => child.once('exit', ended));
    expect(performance.now() - asked).toBeLessThan(20_000);
    expect(code).toBe(1);
    expect(said).toContain('Run the same command again');
    expect(existsSync(out)).toBe(false);

    slow = false;
    const before = answered;
    const ended = await new Promise<number | null>((done) => {
      spawn(process.execPath, [PROGRAM, ...words], { env: online, stdio: 'ignore' }).once('exit', done);
    });
    expect(ended).toBe(0);
    expect(answered - before).toBe(2);
    expect(readFileSync(out, 'utf8').trim().split('\n')).toHaveLength(3);
    server.closeAllConnections();
    server.close();
  });
});
