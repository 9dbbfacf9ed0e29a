import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withFileLock } from '../src/system/index.ts';
import { LOOKS, type Look, noBrowser, openStudioInBrowser, type StudioInBrowser } from './support/browser.ts';
import { beginStage, makeSmallRun, metricsAt } from './support/small-run.ts';

describe.skipIf(noBrowser)(`runs in a browser${noBrowser ? ` (skipped: ${noBrowser})` : ''}`, () => {
  let runs: string;
  let studio: StudioInBrowser;
  beforeAll(async () => {
    runs = await mkdtemp(join(tmpdir(), 'studio-runs-'));
    await makeSmallRun(join(runs, 'small'), { queries: 60 });
    await makeSmallRun(join(runs, 'other'), { queries: 60, gain: 0.02, beta: 0.2 });
    studio = await openStudioInBrowser({ runs });
  });
  afterAll(async () => {
    await studio.close();
    await rm(runs, { recursive: true });
  });

  it.each(Object.keys(LOOKS) as Look[])('shows a run in the look %s', async (look) => {
    const opened = await studio.open('/runs/small', look);
    const { page } = opened;
    await page.getByText('dpo', { exact: true }).waitFor();
    await opened.expectAccessible();
    await opened.expectNoSidewaysScroll();
    await opened.picture(`runs-run-${look}`);
    await opened.close();
  });

  const parts = ['training', 'candidates', 'pairs', 'texts', 'scores'] as const;

  it.each((['light', 'dark', 'phone'] as const).map((look) => [look] as const))(
    'shows all parts in the look %s',
    async (look) => {
      const opened = await studio.open('/runs/small', look);
      const { page } = opened;
      for (const part of parts) {
        await page.getByRole('navigation', { name: 'Parts of the run' }).getByRole('link', { name: part }).click();
        await page.locator(part === 'training' ? 'main canvas >> nth=3' : 'main tbody tr >> nth=1').waitFor();
        await opened.expectAccessible();
        await opened.expectNoSidewaysScroll();
        await opened.picture(`runs-${part}-${look}`);
      }
      expect(await page.locator('main img').count()).toBe(0);
      await opened.close();
    },
  );

  it('finds candidates, turns pages and shows one as a whole, by keyboard', async () => {
    const opened = await studio.open('/runs/small?show=candidates');
    const { page } = opened;
    await page.getByText('1 to 100 of 180').waitFor();
    await page.getByRole('button', { name: 'Next' }).press('Enter');
    await page.getByText('101 to 180 of 180').waitFor();
    await page.goBack();
    await page.getByText('1 to 100 of 180').waitFor();
    await page.getByRole('searchbox').fill('<img');
    await page.getByText('1 to 3 of 3').waitFor();
    await page.locator('tr[data-row="1"] button', { hasText: 'what is <img' }).press('Enter');
    await page.getByRole('dialog', { name: 'Candidates' }).getByText('total reward').waitFor();
    await opened.expectAccessible();
    await opened.picture('runs-candidate');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    expect(await page.locator('img').count()).toBe(0);
    await opened.close();
  });

  it('shows both sides of a pair, and a text before and after', async () => {
    const opened = await studio.open('/runs/small?show=pairs');
    const { page } = opened;
    await page.locator('tr[data-row="0"] button').click();
    await page.getByRole('dialog').getByRole('heading', { name: 'Rejected' }).waitFor();
    await opened.expectAccessible();
    await opened.picture('runs-pair');
    await page.keyboard.press('Escape');
    await page.getByRole('link', { name: 'Texts' }).click();
    await page.locator('tr[data-row="0"] button', { hasText: '<img' }).click();
    await page.getByRole('dialog').getByRole('heading', { name: 'aligned' }).waitFor();
    await opened.picture('runs-text');
    expect(await page.locator('img').count()).toBe(0);
    await opened.close();
  });

  it('shows whole names, tests and verdicts on a phone', async () => {
    const opened = await studio.open('/runs', 'phone');
    const { page } = opened;
    const cut = () =>
      page.evaluate<string[]>(`[...document.querySelectorAll('main table :is(td, th)')]
        .filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)`);
    await page.getByRole('link', { name: 'small' }).waitFor();
    expect(await cut()).toEqual([]);
    await opened.picture('runs-list-phone');
    await page.getByRole('link', { name: 'small' }).click();
    await page.getByRole('link', { name: 'Scores' }).click();
    await page.getByRole('rowheader', { name: 'aligned against zeroShot' }).first().waitFor();
    expect(await cut()).toEqual([]);
    // Why, for those who cannot point.
    await page.getByRole('button', { name: 'a real gain' }).first().press('Enter');
    await page.getByText('On average nDCG@10 changed').waitFor();
    await opened.expectAccessible();
    await opened.expectNoSidewaysScroll();
    await opened.picture('runs-tests-phone');
    await opened.close();
  });

  it('shows the measures that papers print, and all of them on demand', async () => {
    const opened = await studio.open('/runs/small?show=scores');
    const { page } = opened;
    const arms = page.getByRole('table', { name: 'Arms, judged by an encoder' });
    await arms.getByRole('columnheader', { name: 'MAP@100' }).waitFor();
    const cut = await page.evaluate<string[]>(`[...document.querySelectorAll('main table :is(td, th)')]
      .filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)`);
    expect(cut).toEqual([]);
    expect(await arms.getByRole('columnheader', { name: 'Hole@3' }).count()).toBe(0);
    await page.getByText('All 26 measures').first().click();
    await page.getByRole('rowheader', { name: 'Hole@3' }).first().waitFor();
    await opened.expectAccessible();
    await opened.picture('runs-measures');
    await opened.close();
  });

  it('leads from a run to its queries', async () => {
    const opened = await studio.open('/runs/small');
    const { page } = opened;
    await page.getByRole('link', { name: 'Queries helped and hurt' }).press('Enter');
    await page.getByRole('heading', { name: 'Queries', exact: true, level: 1 }).waitFor();
    expect(new URL(page.url()).searchParams.get('evaluation')).toMatch(/^small\/evaluate/);
    await page.getByText(/^Helped \d+ queries, hurt/).waitFor();
    await opened.close();
  });

  it('compares two runs', async () => {
    const opened = await studio.open('/runs');
    const { page } = opened;
    await page.getByLabel('Run A, the baseline').selectOption('small');
    await page.getByLabel('Run B').selectOption('other');
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.getByRole('heading', { level: 1, name: 'Two runs compared' }).waitFor();
    await page.getByText('a real loss').waitFor();
    await page.getByText('dpo.beta').waitFor();
    await opened.expectAccessible();
    await opened.picture('runs-compare');
    await opened.close();
  });

  it('is reached from the list by keyboard, opens a stage, and goes back', async () => {
    const opened = await studio.open('/runs');
    const { page } = opened;
    await page.getByRole('link', { name: 'small' }).press('Enter');
    await page.getByRole('heading', { level: 1, name: 'small' }).waitFor();
    await page.locator('summary', { hasText: 'dpo' }).press('Enter');
    await page.getByText('metrics.jsonl').waitFor();
    expect(await page.locator('main img').count()).toBe(0);
    await opened.expectAccessible();
    await opened.picture('runs-stage');
    await page.goBack();
    await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor();
    await opened.close();
  });

  it('opens the report in a sandbox: its style is applied, its script does not run', async () => {
    const opened = await studio.open('/runs/small');
    const { page } = opened;
    const [report] = await Promise.all([
      page.context().waitForEvent('page'),
      page.getByRole('link', { name: 'Report' }).click(),
    ]);
    await report.getByRole('heading', { name: /Report of/ }).waitFor();
    expect(await report.title()).toBe('report');
    expect(await report.evaluate('origin')).toBe('null');
    expect(await report.evaluate('getComputedStyle(document.querySelector("h1")).color')).toBe('rgb(1, 2, 3)');
    await opened.close();
  });

  it('follows a run of another process, and says why there is none', async () => {
    const run = join(runs, 'live');
    await makeSmallRun(run);
    const folder = await beginStage(run, 'sft', { 'metrics.jsonl': `${JSON.stringify(metricsAt(1)[0])}\n` });
    const opened = await studio.open('/runs');
    const { page } = opened;
    await withFileLock(join(run, '.lock'), async () => {
      await page.getByRole('link', { name: 'live' }).click();
      await page.getByText('1 steps and evaluations').waitFor();
      await opened.expectAccessible();
      await opened.picture('runs-live');
      await appendFile(join(folder, 'metrics.jsonl'), `${JSON.stringify(metricsAt(2)[0])}\n`);
      await page.getByText('2 steps and evaluations').waitFor();
    });
    await page.locator('h1 + .run-facts', { hasText: 'stopped' }).waitFor();
    await opened.close();
  });
});
