import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { buildWordnetDataset } from '../../src/data/index.ts';
import { median, type Row, scaled, threadCount, withFolder } from '../harness.ts';

const PROGRAM = process.env.LLM_QE_CHROMIUM ?? '/usr/bin/chromium';
const VISITS = scaled(15, 3);
/** Moves of the slider, each by one step. */
const MOVES = scaled(20, 4);
const QUERIES = scaled(10_000, 200);
const FIRST_PAINT_MS = 300;
const SLIDER_MS = 50;
const FRAME_MS = 1000 / 60;

/**
 * What a reader waits for, in Chromium on loopback: the first paint, with nothing in the browser's cache; the new ranking after the
 * slider is moved, over 20,000 documents; and frames while a table of 10,000 queries scrolls. The program is the built one.
 */
export async function run(): Promise<Row[]> {
  if (!existsSync(PROGRAM)) {
    console.error(`left out: there is no ${PROGRAM}; set LLM_QE_CHROMIUM`);
    return [];
  }
  return withFolder(async (folder) => {
    const documents = scaled(20_000, 2000);
    const corpus = join(folder, 'wordnet');
    await buildWordnetDataset({ out: corpus, corpus: documents, train: 0, dev: 0, test: 50 });
    await writeEvaluation(join(folder, 'runs', 'many'));
    const studio = await startStudio(['--corpus', corpus, '--runs', join(folder, 'runs')]);
    const browser = await chromium.launch({ executablePath: PROGRAM, args: ['--no-sandbox', '--disable-gpu'] });
    try {
      const visits = await firstPaints(browser, studio.url);
      return [...visits, ...(await sliderRows(browser, studio.url, documents)), await scrolling(browser, studio.url)];
    } finally {
      await browser.close();
      await studio.close();
    }
  });
}

async function startStudio(words: readonly string[]): Promise<{ url: URL; close(): Promise<void> }> {
  const all = ['studio', '--port', '0', '--no-open', '--threads', `${threadCount()}`, ...words];
  const child = spawn(process.execPath, [resolve('dist', 'cli', 'main.js'), ...all], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return { url: await addressOf(child), close: () => end(child) };
}

async function addressOf(child: ChildProcess): Promise<URL> {
  let log = '';
  for await (const chunk of child.stderr!.iterator({ destroyOnReturn: false })) {
    log += chunk;
    const found = /studio on (\S+)\n/.exec(log);
    if (found === null) continue;
    child.stderr!.resume();
    return new URL(found[1]!);
  }
  throw new Error(`the studio ended: ${log}`);
}

async function end(child: ChildProcess): Promise<void> {
  const exit = child.exitCode === null ? once(child, 'exit') : undefined;
  child.kill('SIGTERM');
  await exit;
}

/** A browser that has the studio's cookie and nothing in its cache. */
async function visitor(browser: Browser, studio: URL): Promise<BrowserContext> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(0);
  const page = await context.newPage();
  await page.goto(new URL(`/api/runs?token=${studio.searchParams.get('token')}`, studio).href);
  await page.close();
  return context;
}

interface Visit {
  paint: number;
  ready: number;
  bytes: number;
  files: number;
}

async function firstPaints(browser: Browser, studio: URL): Promise<Row[]> {
  const visits: Visit[] = [];
  for (let turn = 0; turn < VISITS; turn++) {
    const context = await visitor(browser, studio);
    const page = await context.newPage();
    await page.goto(studio.origin);
    // What the reader can use: the examples of the corpus are the last to come.
    await page.locator('.examples').waitFor();
    visits.push(await page.evaluate<Visit>(VISIT));
    await context.close();
  }
  const all = (of: keyof Visit) => visits.map((visit) => visit[of]);
  const { bytes, files } = visits[0]!;
  const note = `aim ${FIRST_PAINT_MS}; ${spread(all('paint'))}; ${files} files, ${Math.round(bytes / 1000)} KB`;
  return [
    { ...timeRow('first paint, nothing cached', median(all('paint'))), note },
    { ...timeRow('first screen with its data', median(all('ready'))), note: spread(all('ready')) },
  ];
}

const VISIT = `(() => {
  const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
  return {
    paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    ready: Math.max(...entries.filter(({ name }) => name.includes('/api/try')).map(({ responseEnd }) => responseEnd)),
    bytes: entries.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
    files: entries.length,
  };
})()`;

/** From the event of the key that moves the slider until the frame with the new ranking is painted. */
async function sliderRows(browser: Browser, studio: URL, documents: number): Promise<Row[]> {
  const context = await visitor(browser, studio);
  const page = await context.newPage();
  const rows: Row[] = [];
  for (const [by, name] of [
    ['dense', 'dense'],
    ['rrf', 'fused'],
  ]) {
    await page.goto(`${studio.origin}/try?q=what+is+a+vineyard&n=2&alpha=0&by=${by}`);
    await page.locator('[aria-label="Ranking with expansions"]').waitFor();
    await page.getByRole('slider').focus();
    const times: number[] = [];
    for (let move = 0; move < MOVES; move++) times.push(await moveSlider(page));
    const what = `alpha slider over ${documents.toLocaleString('en')} documents, ${name}, until it is painted`;
    rows.push({ ...timeRow(what, median(times)), note: `aim ${SLIDER_MS}; ${spread(times)}` });
  }
  await context.close();
  return rows;
}

async function moveSlider(page: Page): Promise<number> {
  await page.evaluate(WATCH);
  await page.keyboard.press('ArrowRight');
  const time = await page.evaluate<number>('globalThis.moved');
  // The address follows the slider a moment later; that belongs to no move.
  await page.waitForTimeout(400);
  return time;
}

/** A frame that a message follows is painted: the callback of a frame runs before its painting. */
const WATCH = `globalThis.moved = new Promise((resolve) => {
  const list = document.querySelector('[aria-label="Ranking with expansions"]');
  const started = new Promise((begun) => addEventListener('input', ({ timeStamp }) => begun(timeStamp), { capture: true, once: true }));
  const observer = new MutationObserver(() => {
    observer.disconnect();
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = async () => {
        const end = performance.now();
        resolve(end - (await started));
      };
      port2.postMessage(0);
    });
  });
  observer.observe(list, { subtree: true, childList: true, characterData: true });
}); undefined`;

/** The longest time between two frames while the wheel is turned. */
async function scrolling(browser: Browser, studio: URL): Promise<Row> {
  const context = await visitor(browser, studio);
  const page = await context.newPage();
  await page.goto(`${studio.origin}/queries`);
  const table = page.getByRole('region', { name: 'Queries', exact: true });
  await table.locator('tbody tr').nth(1).waitFor();
  await table.scrollIntoViewIfNeeded();
  await table.hover();
  await page.evaluate(FRAMES);
  for (let turn = 0; turn < 60; turn++) await page.mouse.wheel(0, 700);
  const frames = await page.evaluate<number[]>('globalThis.stopFrames()');
  await context.close();
  const late = frames.filter((time) => time > 1.5 * FRAME_MS).length;
  const what = `longest frame while ${QUERIES.toLocaleString('en')} queries scroll`;
  return { ...timeRow(what, Math.max(...frames)), note: `${late} of ${frames.length} frames late; ${spread(frames)}` };
}

const FRAMES = `(() => {
  const frames = [];
  let last, on = true;
  const next = (now) => {
    if (last !== undefined) frames.push(now - last);
    last = now;
    if (on) requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
  globalThis.stopFrames = () => ((on = false), frames);
})()`;

/** Two runs over many queries, with judgements. */
async function writeEvaluation(folder: string): Promise<void> {
  await mkdir(join(folder, 'qrels'), { recursive: true });
  const ids = Array.from({ length: QUERIES }, (_none, at) => `q${at}`);
  const lines = (shift: number) =>
    ids.flatMap((id, at) =>
      Array.from({ length: 5 }, (_none, rank) => `${id} Q0 d${(at + rank * shift) % 997} ${rank + 1} ${9 - rank} run`),
    );
  const queries = ids.map((id, at) => JSON.stringify({ _id: id, text: `What is meant by the number ${at}?` }));
  const judged = ids.map((id, at) => `${id}\td${(at + 2) % 997}\t1`);
  await writeFile(join(folder, 'queries.jsonl'), `${queries.join('\n')}\n`);
  await writeFile(join(folder, 'corpus.jsonl'), `${JSON.stringify({ _id: 'd0', text: 'a document' })}\n`);
  await writeFile(join(folder, 'qrels', 'test.tsv'), `query-id\tcorpus-id\tscore\n${judged.join('\n')}\n`);
  await writeFile(join(folder, 'raw.run'), `${lines(1).join('\n')}\n`);
  await writeFile(join(folder, 'expanded.run'), `${lines(2).join('\n')}\n`);
}

function timeRow(what: string, ours: number): Row {
  return { what, unit: 'ms', largerIsBetter: false, ours };
}

function spread(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!);
  return `${at(0)} to ${at(1)} ms, p90 ${at(0.9)}`;
}
