import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join, resolve } from 'node:path';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { loadEncoder, ModelStore, trainRetriever } from '../src/index.ts';
import { type LocalServer, startServer } from './support/local-server.ts';

const PROGRAM = process.env.LLM_QE_CHROMIUM ?? '/usr/bin/chromium';
const TINY = resolve('src/embed/goldens/tiny-encoder');
const WORDS = ['river', 'stone', 'lamp', 'saw', 'ship', 'sea', '<b>bold</b>'];
const TYPES: Record<string, string> = {
  ...{ '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json' },
  '.wasm': 'application/wasm',
};

let folder: string;
let student: string;
let files: LocalServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'browser-student-'));
  const lines = WORDS.map((word) => `${JSON.stringify({ _id: word, title: '', text: `a text of the ${word}` })}\n`);
  await writeFile(join(folder, 'corpus.jsonl'), lines.join(''));
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  vi.spyOn(console, 'log').mockImplementation(() => {});
  student = await distilled();
  const { argv } = process;
  process.argv = [...argv.slice(0, 2), join(folder, 'web'), join(folder, 'corpus.jsonl'), student];
  await import('../examples/browser-student/make.ts').finally(() => {
    process.argv = argv;
  });
  files = await startServer(async (request, response) => {
    const path = new URL(request.url!, 'http://x').pathname.replace(/\/$/, '/index.html');
    const content = await readFile(join(folder, 'web', path)).catch(() => undefined);
    response.writeHead(content === undefined ? 404 : 200, { 'content-type': TYPES[extname(path)] ?? 'text/plain' });
    response.end(content);
  });
}, 60_000);
afterAll(async () => {
  await files?.close();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

/** Trains an encoder, for queries alone, on what an LLM wrote for them. Returns its folder. */
async function distilled(): Promise<string> {
  const rows = WORDS.map((word) => ({
    ...{ id: word, query: `a ${word}`, expansions: [`a text of the ${word} by the sea`], negatives: [] },
    positives: [{ id: word, text: `a text of the ${word}` }],
  }));
  const encoder = await new ModelStore().resolve(TINY, { kind: 'encoder' });
  const settings = { method: 'distil', train: 'query', batchSize: 4, epochs: 2, learningRate: 1e-2 } as const;
  const { model } = await trainRetriever({ encoder, rows, out: join(folder, 'student'), threads: 1, settings });
  return model;
}

it.skipIf(!existsSync(PROGRAM))(
  'a page without a server finds what Node finds, and asks no other host',
  async () => {
    const browser = await chromium.launch({ executablePath: PROGRAM, args: ['--no-sandbox', '--disable-gpu'] });
    const encoder = await loadEncoder(await new ModelStore().resolve(student, { kind: 'encoder' }), { threads: 1 });
    try {
      const page = await browser.newPage();
      const faults: string[] = [];
      page.on('pageerror', ({ message }) => faults.push(message));
      page.on('request', (request) => {
        if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(files.url)) faults.push(request.url());
      });
      await page.goto(`${files.url}/`);
      await page.getByText(/^Ready/).waitFor();
      await page.getByLabel('Query').fill('a text of the <b>bold</b>');
      await page.getByRole('button', { name: 'Search' }).click();
      await page.locator('#hits li').first().waitFor();
      const shown = await page.locator('#hits li .text').allTextContents();
      expect([...shown].sort()).toEqual(WORDS.map((word) => `a text of the ${word}`).sort());
      for (const word of WORDS) {
        const text = `a text of the ${word}`;
        const found = await page.evaluate<number[]>(
          `globalThis.student.embed(${JSON.stringify(text)}).then((numbers) => [...numbers])`,
        );
        const wanted = await encoder.encode([text], 'query');
        expect(cosine(found, wanted)).toBeGreaterThan(0.95);
      }
      expect(faults).toEqual([]);
    } finally {
      await encoder.close();
      await browser.close();
    }
  },
  60_000,
);

function cosine(a: readonly number[], b: Float32Array): number {
  const product = a.reduce((sum, value, at) => sum + value * b[at]!, 0);
  return product / Math.hypot(...a) / Math.hypot(...b);
}
