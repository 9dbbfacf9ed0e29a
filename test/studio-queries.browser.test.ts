import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Download } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LOOKS, type Look, noBrowser, openStudioInBrowser, type StudioInBrowser } from './support/browser.ts';
import { writeEvaluation } from './support/small-evaluation.ts';

const title = `the screen Queries in a browser${noBrowser ? ` (skipped: ${noBrowser})` : ''}`;

describe.skipIf(noBrowser)(title, () => {
  let studio: StudioInBrowser;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'queries-'));
    writeEvaluation(join(folder, 'first'), 60);
    studio = await openStudioInBrowser({ runs: folder });
  });
  afterAll(async () => {
    await studio.close();
    await rm(folder, { recursive: true });
  });

  const looks = Object.keys(LOOKS) as Look[];

  it.each(looks)('shows list and query in the look %s: accessible, no wider than the window', async (look) => {
    const opened = await studio.open('/queries', look);
    const { page } = opened;
    await page.getByRole('slider', { name: /Change of nDCG@10/ }).waitFor();
    await page.locator('svg .gain-bars').waitFor();
    await opened.expectAccessible();
    await opened.expectNoSidewaysScroll();
    await opened.picture(`queries-${look}`);
    await page.getByText('Export', { exact: true }).click();
    await page.locator('table[aria-label="Slices"]').scrollIntoViewIfNeeded();
    await opened.expectAccessible();
    await opened.picture(`queries-below-${look}`);
    await page.getByRole('button', { name: 'img src' }).click();
    await page.locator('h2.query').waitFor();
    await opened.expectAccessible();
    await opened.expectNoSidewaysScroll();
    await opened.picture(`queries-query-${look}`);
    await opened.close();
  });

  it('is used by keyboard: a bar, its query, the next, and back to where the list was left', async () => {
    const opened = await studio.open('/queries');
    const { page } = opened;
    const slider = page.getByRole('slider');
    await slider.press('End');
    expect(await slider.getAttribute('aria-valuenow')).toBe('60');
    await slider.press('Home');
    await slider.press('ArrowRight');
    expect(await slider.getAttribute('aria-valuetext')).toContain('2 of 60: +0.5000, what is a cat number 4');
    await slider.press('Enter');
    await page.locator('h2.query:focus', { hasText: 'number 4' }).waitFor();
    expect(page.url()).toContain('query=q4');
    await page.keyboard.press('j');
    await page.locator('h2.query:focus', { hasText: 'number 6' }).waitFor();
    await page.keyboard.press('k');
    await page.locator('h2.query:focus', { hasText: 'number 4' }).waitFor();
    await page.keyboard.press('u');
    await page.locator('button:focus', { hasText: 'number 4' }).waitFor();
    await page.keyboard.press('ArrowDown');
    await page.locator('button:focus', { hasText: 'number 6' }).waitFor();
    await page.keyboard.press('Enter');
    await page.locator('h2.query:focus', { hasText: 'number 6' }).waitFor();
    await page.goBack();
    await slider.waitFor();
    await opened.close();
  });

  it('is used by pointer: a bar, filter, order by rankings, a kind of queries, another measure', async () => {
    const opened = await studio.open('/queries');
    const { page } = opened;
    const slider = page.getByRole('slider');
    await page.locator('svg .loss-bars').waitFor();
    const box = (await slider.boundingBox())!;
    await slider.click({ position: { x: box.width - 12, y: 100 } });
    await page.locator('h2.query', { hasText: 'number 59' }).waitFor();
    await page.getByRole('button', { name: 'All queries' }).click();
    await page.getByRole('searchbox', { name: 'Filter' }).fill('NUMBER 12');
    await page.getByText('1 of 60 queries').waitFor();
    await page.getByRole('searchbox', { name: 'Filter' }).fill('');
    await page.getByRole('button', { name: 'Most different rankings first' }).click();
    await page.getByText('rank-biased').waitFor();
    expect(await page.locator('tr[data-row="59"]').count()).toBe(0);
    await page.getByRole('region', { name: 'Queries', exact: true }).press('End');
    await page.locator('tr[data-row="59"]', { hasText: 'number 2' }).waitFor();
    await page.getByRole('button', { name: 'words in the query: 4 to 7' }).click();
    await page.getByText('59 of 60 queries').waitFor();
    await page.getByLabel('Measure').selectOption('Recall@100');
    await page.getByText('Mean change of Recall@100').waitFor();
    expect(page.url()).toContain('measure=Recall');
    await opened.close();
  });

  it('shows hostile texts as text, with the moves of the ranks', async () => {
    const opened = await studio.open('/queries?evaluation=first&query=q0');
    const { page } = opened;
    await page.locator('h2.query', { hasText: '<img src=x onerror=alert(1)> saw' }).waitFor();
    await page.getByText('a tool <b>that</b> cuts').waitFor(); // in the one arm that used it
    await page.getByText('<script>alert(1)</script>').first().waitFor();
    expect(await page.locator('main img, main script, main b').count()).toBe(0);
    const expanded = page.getByRole('region', { name: 'B: run' });
    expect(await expanded.locator('li').first().textContent()).toMatch(/1up 2, from 3relevant, 2/);
    // The same move in the list that it leaves, not its opposite.
    const baseline = page.getByRole('region', { name: /^A: / });
    expect(await baseline.locator('li').nth(2).textContent()).toMatch(/3up 2, to 1relevant, 2/);
    await opened.close();
  });

  it('hands out files: the plot as SVG and PNG, a run, and the command', async () => {
    const opened = await studio.open('/queries');
    const { page } = opened;
    const saved = async (act: () => Promise<void>): Promise<[string, Buffer]> => {
      const [download] = await Promise.all([page.waitForEvent('download') as Promise<Download>, act()]);
      return [download.suggestedFilename(), await readFile(await download.path())];
    };
    await page.locator('svg .gain-bars').waitFor();
    const [svgName, svg] = await saved(() => page.getByRole('button', { name: 'SVG' }).click());
    expect(svgName).toBe('helped-and-hurt.svg');
    expect(svg.toString()).toMatch(/<path[^>]* fill="rgb\(26, 95, 208\)"/);
    expect(svg.toString()).not.toContain('class=');
    const [pngName, png] = await saved(() => page.getByRole('button', { name: 'PNG' }).click());
    expect([pngName, png.subarray(1, 4).toString()]).toEqual(['helped-and-hurt.png', 'PNG']);
    await page.getByText('Export', { exact: true }).click();
    const [runName, run] = await saved(() => page.getByRole('link', { name: 'TREC run of B' }).click());
    expect(runName).toBe('run-b.trec');
    expect(run.toString()).toMatch(/^q0 Q0 d0 1 1 llm-qe-run\n/);
    await page.getByText(/^llm-qe compare .*run-raw\.trec .*run\.trec --qrels/).waitFor();
    await opened.close();
  });

  it('says what is missing, and scrolls 10,000 queries with few rows drawn', async () => {
    writeEvaluation(join(folder, 'large'), 10_000);
    const opened = await studio.open('/queries?evaluation=large');
    const { page } = opened;
    await page.getByText('10,000 queries', { exact: true }).waitFor();
    expect(await page.locator('tbody tr').count()).toBeLessThan(120);
    await page.getByRole('region', { name: 'Queries', exact: true }).press('End');
    await page.locator('tr[data-row="9999"]').waitFor();
    await opened.picture('queries-large');
    await page.goto(`${studio.origin}/queries?evaluation=${encodeURIComponent('<b>none</b>')}`);
    await page.getByRole('alert').getByText('There is no evaluation').waitFor();
    expect(await page.locator('main b').count()).toBe(0);
    expect(opened.faults.splice(0)).toEqual([expect.stringContaining('404')]);
    await opened.close();
  });
});
