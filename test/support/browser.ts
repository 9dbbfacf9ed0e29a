import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import { PROMPTS } from '../../src/generate/index.ts';
import { defaultRetrievalSettings } from '../../src/retrieve/index.ts';
import { type OpenStudio, openStudio, ProgressFeed, Studio, type StudioOptions } from '../../src/studio/index.ts';
import { SILENT } from '../../src/system/index.ts';

const PROGRAM = process.env.LLM_QE_CHROMIUM ?? '/usr/bin/chromium';
/** Why the tests in a browser are skipped; undefined if they run. */
export const noBrowser = existsSync(PROGRAM) ? undefined : `there is no ${PROGRAM}; set LLM_QE_CHROMIUM`;

/** The ways in which every screen is looked at. */
export const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  dark: { colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 } },
} as const;
export type Look = keyof typeof LOOKS;

/** A studio and a browser for one test file. */
export interface StudioInBrowser {
  studio: OpenStudio;
  /** The address without its token. */
  origin: string;
  browser: Browser;
  /** Opens a page at a path, with the token. Any error on it, in the console or thrown, fails {@link TestPage.close}. */
  open(path: string, look?: Look): Promise<TestPage>;
  close(): Promise<void>;
}

export interface TestPage {
  page: Page;
  /** Errors so far, in the console or thrown. */
  faults: string[];
  /** Expects that axe finds nothing on what is shown now. */
  expectAccessible(): Promise<void>;
  /** Expects that nothing is wider than the window. */
  expectNoSidewaysScroll(): Promise<void>;
  /** A picture for people, in the folder $LLM_QE_PICTURES; none without it. */
  picture(name: string): Promise<void>;
  /** Expects that there was no error, and closes the page. */
  close(): Promise<void>;
}

/**
 * Starts a studio over a folder, and a browser. What runs in the page is written as text (`page.evaluate('document.title')`): the types of
 * a browser's names would mix with those of Node.
 * @param options what differs from a studio without corpora and models
 */
export async function openStudioInBrowser(options: Partial<StudioOptions> = {}): Promise<StudioInBrowser> {
  const folder = await mkdtemp(join(tmpdir(), 'studio-'));
  const stop = new AbortController();
  const studio = await openStudio(new Studio({ ...standard(join(folder, 'runs'), stop.signal), ...options }), {
    port: 0,
    onError: (error) => console.error(error),
  });
  const browser = await chromium.launch({ executablePath: PROGRAM, args: ['--no-sandbox', '--disable-gpu'] });
  const { origin } = new URL(studio.url);
  const open = async (path: string, look: Look = 'light') => {
    const context = await browser.newContext(LOOKS[look]);
    onTestFinished(() => context.close());
    return openPage(context, `${origin}${path}`, studio.token);
  };
  const close = async () => {
    await browser.close();
    stop.abort();
    await studio.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { studio, origin, browser, open, close };
}

/** A studio without corpora, whose generator fails when it is asked for. */
export function standard(runs: string, signal: AbortSignal): StudioOptions {
  return {
    ...{ runs, corpora: [], settings: defaultRetrievalSettings({ threads: 1 }), generators: ['none'] },
    openGenerator: () => Promise.reject(new Error('this test has no generator')),
    ...{ prompt: PROMPTS.q2d, sampling: { temperature: 0, topP: 1, topK: 0, maxTokens: 16 }, samples: 1, seed: 1 },
    ...{ progress: new ProgressFeed(SILENT), signal },
  };
}

async function openPage(context: BrowserContext, address: string, token: string): Promise<TestPage> {
  // A busy machine must not fail a test: the time limit of the test is enough.
  context.setDefaultTimeout(0);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(error.stack ?? error.message));
  const url = new URL(address);
  url.searchParams.set('token', token);
  await page.goto(url.href);
  await page.locator('h1').waitFor();
  return {
    page,
    faults,
    expectAccessible: () => expectAccessible(page),
    async expectNoSidewaysScroll() {
      const [wide, seen] = await page.evaluate<number[]>(
        '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
      );
      expect(wide).toBeLessThanOrEqual(seen!);
    },
    async picture(name) {
      const folder = process.env.LLM_QE_PICTURES;
      if (folder === undefined) return;
      await mkdir(folder, { recursive: true });
      await page.screenshot({ path: join(folder, `${name}.png`) });
    },
    async close() {
      await context.close();
      expect(faults).toEqual([]);
    },
  };
}

/** The policy of the page forbids scripts of others, and the driver is not bound by it: so axe can be run. */
async function expectAccessible(page: Page): Promise<void> {
  const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(source);
  const { violations } = await page.evaluate<{ violations: AxeViolation[] }>('axe.run()');
  const found = violations.map(({ id, nodes }) => [
    id,
    ...nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`),
  ]);
  expect(found).toEqual([]);
}

interface AxeViolation {
  id: string;
  nodes: { html: string; failureSummary: string }[];
}
