import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildWordnetDataset } from '../src/data/index.ts';
import { connectGenerator } from '../src/generate/index.ts';
import { noBrowser, openStudioInBrowser, type StudioInBrowser } from './support/browser.ts';
import { ChatServer } from './support/chat-server.ts';
import { LetterCounts, written } from './support/served-letters.ts';

/** A collection in BEIR's layout, such as cranfield; by its path, since none comes with the package. */
const COLLECTION = process.env.LLM_QE_COLLECTION;
const DOCUMENTS = 20_000;

/**
 * The screens over texts as people write them: 20,000 of WordNet's glosses, and a collection that `LLM_QE_COLLECTION` names. Searches are
 * by words, whose rankings mean something without a model.
 */
describe.skipIf(noBrowser)(`the studio over real texts${noBrowser ? ` (skipped: ${noBrowser})` : ''}`, () => {
  let folder: string;
  let chat: ChatServer;
  let studio: StudioInBrowser;
  const home = process.env.LLM_QE_HOME;
  const collection = COLLECTION !== undefined && existsSync(join(COLLECTION, 'corpus.jsonl')) ? [COLLECTION] : [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'studio-real-'));
    process.env.LLM_QE_HOME = join(folder, 'home');
    const wordnet = join(folder, 'wordnet');
    await buildWordnetDataset({ out: wordnet, corpus: DOCUMENTS, train: 0, dev: 0, test: 30 });
    chat = await ChatServer.start(() =>
      written('a plant that is grown for its fruit, a person, an artifact, the air flow'),
    );
    studio = await openStudioInBrowser({
      ...{ runs: join(folder, 'runs'), corpora: [wordnet, ...collection], generators: ['a writer'] },
      openEncoder: async () => new LetterCounts(),
      openGenerator: () => connectGenerator({ baseUrls: [chat.baseUrl], retries: 0 }),
    });
  });
  afterAll(async () => {
    await studio?.close();
    await chat?.stop();
    if (home === undefined) delete process.env.LLM_QE_HOME;
    else process.env.LLM_QE_HOME = home;
    await rm(folder, { recursive: true, force: true });
  });

  const names = ['wordnet', ...collection.map((path) => path.split('/').at(-1)!)];

  it.each(names)('a query of %s is chosen, and ranked by words without and with an expansion', async (corpus) => {
    const opened = await studio.open(`/try?by=bm25&corpus=${corpus}`);
    const { page } = opened;
    await page.locator('.examples a').first().press('Enter');
    const list = page.getByRole('list', { name: 'Ranking with expansions' });
    await list.getByRole('listitem').first().waitFor();
    await page.getByText(/documents, ranked in/).waitFor();
    if (corpus === 'wordnet') await page.getByText(`${DOCUMENTS.toLocaleString('en')} documents, ranked`).waitFor();
    await page.getByText(/has (one relevant document|\d+ relevant documents)/).waitFor();
    await list.getByText('Why this score').first().press('Enter');
    await list.getByRole('rowheader', { name: 'sum' }).waitFor();
    await page.getByLabel('Only documents with').fill('the');
    await page.getByText('documents hold the text').waitFor();
    await opened.expectAccessible();
    await opened.expectNoSidewaysScroll();
    await opened.picture(`real-try-${corpus}`);
    await opened.close();
  });

  it.each(names)('the results for queries of %s are judged by keyboard and pointer', async (corpus) => {
    const opened = await studio.open('/judge', 'phone');
    const { page } = opened;
    const another = page.getByRole('button', { name: 'New session' });
    const name = page.getByLabel('Name');
    await name.or(another).first().waitFor();
    if (await another.isVisible()) await another.click();
    await name.fill(`${corpus}-judged`);
    await page.getByLabel('Corpus').selectOption(corpus);
    await page.getByLabel('dense (vectors)').uncheck();
    await page.getByLabel('BM25 (words)').check();
    await page.getByLabel('Number of queries').fill('3');
    await page.getByRole('button', { name: 'Begin' }).click();
    await page.getByLabel('Your name').fill('ann');
    await page.getByRole('button', { name: 'Start judging' }).click();
    await page.locator('.judge-preparation').waitFor({ state: 'detached' });
    await page.locator('.judge-card.current').waitFor();
    const cards = await page.locator('.judge-card').count();
    expect(cards).toBeGreaterThan(9);
    for (let at = 0; at < cards - 1; at++) await page.keyboard.press(`${at % 4}`);
    await page
      .getByText(`${cards - 1} of ${cards} judged`)
      .first()
      .waitFor();
    // The meaning of a grade is read on a phone, too.
    const last = page.locator('.judge-card.current').getByRole('button', { name: '3 perfect' });
    expect(await last.locator('.judge-word').isVisible()).toBe(true);
    await last.click();
    await page.getByText(`${cards} of ${cards} judged`).first().waitFor();
    expect(await page.locator('.judge-arms').count()).toBe(0);
    await page.getByRole('button', { name: 'Show the figures' }).click();
    await page.locator('.judge-arms').waitFor();
    await opened.expectAccessible();
    await opened.expectNoSidewaysScroll();
    await opened.picture(`real-judge-${corpus}`);
    const journal = await readFile(join(folder, 'runs', 'judging', `${corpus}-judged`, 'judgements.jsonl'), 'utf8');
    expect(journal.trim().split('\n')).toHaveLength(cards);
    await opened.close();
  });
});
