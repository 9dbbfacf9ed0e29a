import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LOOKS, type Look, noBrowser, openStudioInBrowser, type StudioInBrowser } from './support/browser.ts';
import { JudgingPlace } from './support/judging-studio.ts';

const HOSTILE = '<img src=x onerror="document.title=1"> \u202e';

describe.skipIf(noBrowser)(`judging in a browser${noBrowser ? ` (skipped: ${noBrowser})` : ''}`, () => {
  let place: JudgingPlace;
  let studio: StudioInBrowser;
  const start = async () => {
    const { progress: _, signal: __, ...options } = place.options();
    studio = await openStudioInBrowser(options);
  };
  beforeAll(async () => {
    place = await JudgingPlace.open();
    await start();
  });
  afterAll(async () => {
    await studio.close();
    await place.close();
  });

  /** The entries that are on the disk. */
  const entries = async (session: string) => {
    const text = await readFile(join(place.runs, 'judging', session, 'judgements.jsonl'), 'utf8');
    return text
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  };

  it('begins a session by keyboard, judges, takes back, notes, and shows figures', async () => {
    const opened = await studio.open('/judge');
    const { page } = opened;
    await page.getByLabel('Name').fill('letters 1');
    await page.getByText('Its folder is letters-1').waitFor();
    await page.getByLabel('BM25 (words)').check();
    await page.getByLabel('Results per search').fill('3');
    await opened.expectAccessible();
    await opened.picture('judge-form');
    await page.getByLabel('Name').press('Enter');
    await page.getByLabel('Your name').fill(HOSTILE.slice(0, 38));
    await page.getByLabel('Your name').press('Enter');
    await page.locator('.judge-card.current').waitFor();
    await page.locator('.judge-preparation').waitFor({ state: 'detached' });
    await page.keyboard.press('3');
    await page.locator('.judge-card').first().locator('button[aria-pressed=true]', { hasText: '3' }).waitFor();
    await page.keyboard.press('0');
    await page.keyboard.press('s');
    await page.getByText(/^query 1 of 3, 2 of \d+ judged, 1 skipped$/).waitFor();
    await page.keyboard.press('u');
    await page.getByText(/^query 1 of 3, 2 of \d+ judged$/).waitFor();
    await page.keyboard.press('n');
    await page.getByLabel('Note', { exact: true }).fill(`${HOSTILE} 3u`);
    await page.keyboard.press('Control+Enter');
    await page.locator('.judge-note', { hasText: '<img src=x' }).waitFor();
    // Who leads would sway the judge: it is told on demand alone, and then after each judgement.
    await page.getByText(/Judged at 3: \d+ %/).waitFor();
    expect(await page.locator('.judge-arms, .judge-sentence').count()).toBe(0);
    await page.keyboard.press('f');
    await page
      .getByText(/helps \d and hurts \d of 1 query:/)
      .first()
      .waitFor();
    expect(await page.locator('main img').count()).toBe(0);
    await opened.expectAccessible();
    await opened.picture('judge-light');
    expect((await entries('letters-1')).map(({ kind }) => kind)).toEqual(['grade', 'grade', 'skip', 'undo', 'note']);
    await opened.close();
  });

  it.each(Object.keys(LOOKS) as Look[])('looks as it should in the look %s', async (look) => {
    for (const [view, seen] of [
      ['judge', '.judge-card.current'],
      ['results', '.judge-arms'],
      ['agreement', '.empty'],
    ] as const) {
      const opened = await studio.open(`/judge/letters-1?judge=ann&view=${view}`, look);
      await opened.page.locator(seen).waitFor();
      await opened.expectAccessible();
      await opened.expectNoSidewaysScroll();
      await opened.picture(`judge-${view}-${look}`);
      await opened.close();
    }
  });

  it('judges by pointer, goes on to the next query, and finds a missing document', async () => {
    const opened = await studio.open('/judge/letters-1?judge=bob&q=0');
    const { page } = opened;
    await page.locator('.judge-card.current').waitFor();
    await page.getByText('Is a document missing?').click();
    await page.getByLabel('Words').fill('word');
    await page.getByLabel('Words').press('Enter');
    await page.getByRole('button', { name: 'Add d7' }).click();
    await page.getByText('added by a search').waitFor();
    const cards = await page.locator('.judge-card').count();
    for (let at = 0; at < cards; at++) {
      await page.locator('.judge-card').nth(at).getByRole('button', { name: /^2/ }).click();
    }
    await page.getByText(`${cards} of ${cards} judged`).waitFor();
    await page.keyboard.press('ArrowRight');
    await page.getByText(/^query 2 of 3/).waitFor();
    await page.keyboard.press('ArrowLeft');
    await page.getByText(/^query 1 of 3/).waitFor();
    await opened.picture('judge-finder');
    await opened.close();
  });

  it('compares two judges, and gives the judgements away', async () => {
    const opened = await studio.open('/judge/letters-1?judge=ann&view=agreement');
    const { page } = opened;
    await page.getByText("Cohen's kappa").waitFor();
    await opened.expectAccessible();
    await opened.picture('judge-agreement');
    await page.getByRole('button', { name: 'Results' }).click();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Judgements for trec_eval' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('letters-1-qrels.trec');
    const text = await readFile(await download.path(), 'utf8');
    expect(text).toMatch(/^(q\d 0 d\d [0-3]\n)+$/);
    await opened.close();
  });

  it('loses nothing when the studio ends and starts again, with two tabs open', async () => {
    const [one, two] = [
      await studio.open('/judge/letters-1?judge=cy&q=1'),
      await studio.open('/judge/letters-1?judge=cy&q=2'),
    ];
    for (const { page } of [one, two]) {
      await page.locator('.judge-card.current').waitFor();
      await page.keyboard.press('2');
      await page.getByText(/^query \d of 3, 1 of \d+ judged$/).waitFor();
    }
    const before = await entries('letters-1');
    await one.close();
    await two.close();
    await studio.close();
    await start();
    const again = await studio.open('/judge/letters-1?judge=cy&q=1');
    await again.page.getByText(/query 2 of 3, 1 of \d+ judged/).waitFor();
    expect(await entries('letters-1')).toEqual(before);
    await again.close();
  });
});
