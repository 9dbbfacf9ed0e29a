import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connectGenerator } from '../src/generate/index.ts';
import { LOOKS, type Look, noBrowser, openStudioInBrowser, type StudioInBrowser } from './support/browser.ts';
import { type Behaviour, ChatServer } from './support/chat-server.ts';
import { LetterCounts, written } from './support/served-letters.ts';

/** Texts that would do harm where they are taken for more than text. */
const HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script> \u202e\u0000 ${1} {{1}}';
const RTL = 'שלום עולם مرحبا';

const DOCUMENTS = [
  { _id: 'd0', title: 'Aaa', text: 'many a, and a zebra' },
  { _id: 'd1', title: 'Only b', text: 'bbbb bbbb' },
  { _id: '<b>d2', title: HOSTILE, text: `${HOSTILE} ab zebra` },
  { _id: 'd3', title: RTL, text: `${RTL} zebra` },
  ...Array.from({ length: 12 }, (_none, at) => ({ _id: `e${at}`, title: '', text: `filler ${'ab'.repeat(at % 3)}` })),
];

describe.skipIf(noBrowser)(`the Try screen${noBrowser ? ` (skipped: ${noBrowser})` : ''}`, () => {
  let folder: string;
  let chat: ChatServer;
  let behaviour: Behaviour;
  let studio: StudioInBrowser;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'studio-try-'));
    process.env.LLM_QE_HOME = join(folder, 'home');
    const data = join(folder, 'letters');
    await mkdir(join(data, 'qrels'), { recursive: true });
    const lines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    await writeFile(join(data, 'corpus.jsonl'), lines(DOCUMENTS));
    await writeFile(
      join(data, 'queries.jsonl'),
      lines([
        { _id: 'q1', text: 'a zebra' },
        { _id: 'q2', text: HOSTILE },
      ]),
    );
    await writeFile(join(data, 'qrels', 'test.tsv'), 'query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td0\t0\n');
    chat = await ChatServer.start((...call) => behaviour(...call));
    const openGenerator = () => connectGenerator({ baseUrls: [chat.baseUrl], retries: 0 });
    studio = await openStudioInBrowser({
      corpora: [data],
      openEncoder: async () => new LetterCounts(),
      openGenerator,
      generators: ['small'],
      others: [{ generators: ['small'], adapters: ['aligned'], open: openGenerator }],
    });
  });
  beforeEach(() => {
    behaviour = ({ messages }) => written(`bbbb ${messages[0]!.content.length}`);
  });
  afterAll(async () => {
    await studio?.close();
    await chat?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const expanded = (page: Page) => page.getByRole('region', { name: 'Expanded' });
  const raw = (page: Page) => page.getByRole('region', { name: 'Raw query' });
  const firstTitle = (page: Page) => expanded(page).locator('h3').first();

  it('is used by keyboard: query, expansions, moves, reasons, alpha', async () => {
    const opened = await studio.open('/try');
    const { page } = opened;
    await page.getByRole('link', { name: 'a zebra' }).waitFor();
    await opened.expectAccessible();
    await opened.picture('try-empty');
    await page.keyboard.press('/');
    await page.keyboard.type('a zebra');
    await page.keyboard.press('Enter');
    await expanded(page).getByRole('list', { name: 'Ranking with expansions' }).waitFor();
    expect(new URL(page.url()).searchParams.get('q')).toBe('a zebra');
    // The focus stays where it was.
    expect(await page.locator(':focus').inputValue()).toBe('a zebra');
    await page.getByText('Query q1 has one relevant document').waitFor();

    const slider = page.getByRole('slider', { name: /alpha/ });
    await slider.focus();
    await page.keyboard.press('Home');
    await firstTitle(page).getByText('Aaa').waitFor();
    const calls = chat.calls.length;
    await page.keyboard.press('End');
    await firstTitle(page).getByText('Only b').waitFor();
    await page.waitForURL(/alpha=1/);
    expect(chat.calls.length).toBe(calls);
    expect(await page.locator(':focus').getAttribute('type')).toBe('range');

    const card = expanded(page).getByRole('listitem').filter({ hasText: 'Only b' });
    expect(await card.textContent()).toMatch(/up \d+|new/);
    expect(await card.textContent()).toContain('relevant 2');
    await card.getByText('Why this score').focus();
    await page.keyboard.press('Enter');
    const shares = card.getByRole('table');
    await shares.getByRole('rowheader', { name: 'sum' }).waitFor();
    expect(await sumOf(shares)).toBeCloseTo(await totalOf(shares), 3);
    await opened.expectAccessible();
    await opened.picture('try-why');
    await opened.close();
  });

  it('shows the text as it is written, and stops it', async () => {
    const [half, gone] = [latch(), latch()];
    behaviour = (_call, _number, _request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`data: ${JSON.stringify({ choices: [{ delta: { content: 'bbbb so far' } }] })}\n\n`);
      response.on('close', gone.open);
      half.open();
      return new Promise(() => {});
    };
    const opened = await studio.open('/try?q=slow+zebra');
    const { page } = opened;
    await half.opened;
    await expanded(page).getByText('bbbb so far').waitFor();
    await raw(page).getByRole('list').waitFor();
    await expanded(page).getByRole('button', { name: 'Stop' }).click();
    await gone.opened;
    await expanded(page).getByText('Stopped').waitFor();
    await expanded(page).getByRole('list', { name: 'Ranking with expansions' }).waitFor();
    await opened.expectAccessible();
    await opened.close();
  });

  it('ends the writing when the tab leaves', async () => {
    const [called, gone] = [latch(), latch()];
    behaviour = (_call, _number, _request, response) => {
      response.on('close', gone.open);
      called.open();
      return new Promise(() => {});
    };
    const opened = await studio.open('/try?q=leaving');
    await called.opened;
    await opened.page.keyboard.press('g');
    await opened.page.keyboard.press('r');
    await gone.opened;
    await opened.page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor();
    await opened.close();
  });

  it('compares two writers with prompts of their own, and all of it is in the address', async () => {
    behaviour = ({ messages }) => written(messages[0]!.content.startsWith('List') ? 'aaaa' : 'bbbb');
    const opened = await studio.open('/try?q=a+zebra&alpha=1&n=2');
    const { page } = opened;
    await page.getByRole('button', { name: 'Compare two' }).click();
    const b = page.getByRole('region', { name: 'B', exact: true });
    await b.getByText('Writer small + aligned').click();
    const prompt = b.getByRole('textbox', { name: 'Prompt' });
    await prompt.fill('no place');
    expect(await b.getByRole('button', { name: 'Use this prompt' }).isDisabled()).toBe(true);
    await b.getByText('lacks {query}').waitFor();
    await prompt.fill('List {query}');
    await b.getByRole('button', { name: 'Use this prompt' }).click();
    await b.locator('h3').first().getByText('Aaa').waitFor();
    const a = page.getByRole('region', { name: 'A', exact: true });
    await a.locator('h3').first().getByText('Only b').waitFor();
    expect(await raw(page).getByRole('listitem').first().textContent()).toMatch(/A: .*\s*B: /);
    await page.locator('.cards[aria-busy=true]').first().waitFor({ state: 'detached' });
    await opened.expectAccessible();
    await opened.picture('try-two-arms');
    const again = await studio.open(new URL(page.url()).pathname + new URL(page.url()).search);
    await again.page.getByRole('region', { name: 'B', exact: true }).locator('h3').first().getByText('Aaa').waitFor();
    await again.close();
    await opened.close();
  });

  it('says that two arms with one writer and prompt are the same', async () => {
    const opened = await studio.open('/try?q=a+zebra&b=1&writer-b=small');
    const { page } = opened;
    const same = page.getByText('A and B are the same');
    await same.waitFor();
    const b = page.getByRole('region', { name: 'B', exact: true });
    await b.getByText('Writer small').click();
    await b.getByRole('combobox', { name: 'Writer' }).selectOption('small + aligned');
    await same.waitFor({ state: 'detached' });
    await opened.close();
  });

  it('searches by BM25 and both, filters, and copies command and code', async () => {
    const opened = await studio.open("/try?q=it's+a+zebra");
    const { page } = opened;
    await expanded(page).getByRole('list', { name: 'Ranking with expansions' }).waitFor();
    await page.getByRole('combobox', { name: 'Retriever' }).selectOption('rrf');
    await page.getByRole('spinbutton', { name: /Query repeats/ }).waitFor();
    await expanded(page).getByText('Why this score').first().click();
    await expanded(page).getByRole('table', { name: /Fused/ }).first().waitFor();
    await expanded(page).getByRole('table', { name: /BM25/ }).first().waitFor();
    await page.getByRole('searchbox', { name: 'Only documents with' }).fill('ZEBRA');
    await page.getByText('3 of 16 documents hold the text').waitFor();
    await page.waitForURL(/by=rrf.*filter=ZEBRA/);
    await page.getByRole('button', { name: 'Copy as command' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('--retriever rrf').waitFor();
    expect(await dialog.locator('code').textContent()).toContain(`--query 'it'\\''s a zebra'`);
    await opened.expectAccessible();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Copy as code' }).click();
    await dialog.getByText('new CorpusSearch').waitFor();
    await opened.close();
  });

  it('shows hostile texts as text, and refuses a query of 100 kB with a message', async () => {
    behaviour = () => written(`${HOSTILE} ${RTL} bbbb`);
    const opened = await studio.open(
      `/try?${new URLSearchParams({ q: HOSTILE, filter: '', 'prompt-a': `${HOSTILE} {query}` })}`,
    );
    const { page } = opened;
    await page.getByText('Writer small').click();
    await expanded(page).getByRole('combobox', { name: 'Published prompt' }).selectOption('q2e');
    await expanded(page).getByRole('list', { name: 'Ranking with expansions' }).waitFor();
    for (const why of await page.getByText('Why this score').all()) await why.click();
    expect(await page.title()).toBe('Try – llm-qe studio');
    expect(await page.locator('main img, main script').count()).toBe(0);
    await page.getByText('<img src=x').first().waitFor();
    await opened.expectNoSidewaysScroll();
    await opened.expectAccessible();
    await opened.picture('try-hostile');
    const before = page.url();
    const query = page.getByRole('combobox', { name: 'Query', exact: true });
    await query.fill('x'.repeat(100_000));
    await page.getByRole('alert').getByText('A query has at most 2,000 characters; this one has 100,000.').waitFor();
    await query.press('Enter');
    expect(page.url()).toBe(before);
    await opened.close();
  });

  it('says what the writer failed with, and still shows the raw ranking', async () => {
    behaviour = () => ({ status: 401, body: { error: { message: 'the key is wrong' } } });
    const opened = await studio.open('/try?q=refused+zebra');
    await expanded(opened.page)
      .getByText(/the key is wrong/)
      .waitFor();
    await raw(opened.page).getByRole('list').waitFor();
    behaviour = () => written('bbbb');
    await opened.page.getByRole('button', { name: 'Try again' }).click();
    await expanded(opened.page).getByRole('list', { name: 'Ranking with expansions' }).waitFor();
    await opened.close();
  });

  it.each(Object.keys(LOOKS) as Look[])('in the look %s is accessible and no wider than the window', async (look) => {
    const opened = await studio.open('/try?q=a+zebra&n=2&b=1&by=rrf', look);
    const { page } = opened;
    await page.getByRole('list', { name: 'Ranking with expansions of B' }).waitFor();
    await page.getByText('Why this score').first().click();
    await opened.expectAccessible();
    await opened.expectNoSidewaysScroll();
    await opened.picture(`try-${look}`);
    await opened.close();
  });
});

type Found = ReturnType<Page['getByRole']>;

async function numbersOf(table: Found): Promise<number[]> {
  const texts = await table.locator('td.end').allInnerTexts();
  return texts.map((text) => Number(text.replace('−', '-').split(',')[0]));
}

async function sumOf(table: Found): Promise<number> {
  return (await numbersOf(table)).slice(0, -1).reduce((sum, share) => sum + share, 0);
}

async function totalOf(table: Found): Promise<number> {
  return (await numbersOf(table)).at(-1)!;
}

/** Something that is waited for until it happens. */
function latch() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}
