import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LOOKS, type Look, noBrowser, openStudioInBrowser, type StudioInBrowser } from './support/browser.ts';

describe.skipIf(noBrowser)(`the studio in a browser${noBrowser ? ` (skipped: ${noBrowser})` : ''}`, () => {
  let studio: StudioInBrowser;
  beforeAll(async () => {
    studio = await openStudioInBrowser();
  });
  afterAll(() => studio.close());

  const screens = ['try', 'runs', 'queries', 'judge'];
  const looks = Object.keys(LOOKS) as Look[];

  it.each(screens.flatMap((screen) => looks.map((look) => [screen, look] as const)))(
    'shows %s in the look %s: accessible, no wider than the window, without an error',
    async (screen, look) => {
      const opened = await studio.open(`/${screen}`, look);
      await opened.page.locator('main h2').waitFor();
      await opened.expectAccessible();
      await opened.expectNoSidewaysScroll();
      await opened.picture(`shell-${screen}-${look}`);
      await opened.close();
    },
  );

  it('is used by keyboard: skip link, screens by two keys, shortcuts by a question mark', async () => {
    const opened = await studio.open('/');
    const { page } = opened;
    expect(page.url()).toBe(`${studio.origin}/`);
    await page.keyboard.press('Tab');
    expect(await page.locator(':focus').textContent()).toContain('Skip');
    await page.keyboard.press('g');
    await page.keyboard.press('r');
    await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor();
    expect(page.url()).toBe(`${studio.origin}/runs`);
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await opened.expectAccessible();
    await opened.picture('shell-shortcuts');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await page.goBack();
    await page.getByRole('heading', { level: 1, name: 'Try' }).waitFor();
    await opened.close();
  });

  it('keeps the chosen theme', async () => {
    const opened = await studio.open('/runs');
    const { page } = opened;
    const paper = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    const light = await paper();
    await page.getByRole('button', { name: /theme/ }).click();
    expect(await paper()).not.toBe(light);
    await page.reload();
    expect(await paper()).not.toBe(light);
    await opened.close();
  });

  it('draws 10,000 rows as quickly as those in view, sorts them, and shows hostile names as text', async () => {
    const hostile = '<img src=x onerror="document.title=1"> \u202e';
    const names = [hostile, ...Array.from({ length: 9999 }, (_, at) => `run ${at}`)];
    const facts = { state: 'finished', stages: [], hasReport: false, faults: [], changedAt: 0 };
    const opened = await studio.open('/try');
    const { page } = opened;
    await page.route('**/api/runs', (route) =>
      route.fulfill({ json: { folder: hostile, runs: names.map((name) => ({ name, ...facts })) } }),
    );
    await page.getByRole('link', { name: 'Runs' }).click();
    // Names are also in the lists of what to compare.
    const rows = page.getByRole('table', { name: 'Runs' });
    await rows.getByText('<img src=x').waitFor();
    expect(await page.locator('main img').count()).toBe(0);
    expect(await page.locator('main tbody tr').count()).toBeLessThan(80);
    expect(await rows.getAttribute('aria-rowcount')).toBe('10001');
    await opened.expectAccessible();
    await opened.picture('shell-table');
    await page.getByRole('region', { name: 'Runs' }).press('End');
    await rows.getByText('run 9998', { exact: true }).waitFor();
    await page.getByRole('region', { name: 'Runs' }).press('Home');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await rows.getByText('run 9999', { exact: true }).waitFor({ state: 'detached' });
    await page.locator('tr[data-row="0"]', { hasText: 'run 9998' }).waitFor();
    // A menu of 10,000 names would take seconds to draw, twice: the names are typed.
    expect(await page.locator('main option').count()).toBeLessThan(50);
    const baseline = page.getByLabel('Run A, the baseline');
    await baseline.fill('run 12345');
    await page.getByText('There is no run of this name').waitFor();
    expect(await page.getByRole('button', { name: 'Compare' }).isDisabled()).toBe(true);
    await baseline.fill('run 1234');
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.waitForURL(/\/runs\?a=run\+1234&b=/);
    // The studio has neither run, which the browser logs.
    await page.getByRole('alert').getByText('there is no run', { exact: false }).waitFor();
    expect(opened.faults.splice(0)).toEqual([expect.stringContaining('404')]);
    await opened.close();
  });

  it.each(screens)('names in the page of %s every module that it needs', async (screen) => {
    const opened = await studio.open(`/${screen}`);
    await opened.page.locator('main h2').waitFor();
    const found = await opened.page.evaluate<{ loaded: string[]; named: string[] }>(`({
      loaded: performance.getEntriesByType('resource').map(({ name }) => name).filter((name) => name.endsWith('.js')),
      named: [...document.querySelectorAll('link[rel=modulepreload], script')].map(({ href, src }) => href || src),
    })`);
    expect(found.loaded.length).toBeGreaterThan(20);
    expect(found.loaded.filter((name) => !found.named.includes(name))).toEqual([]);
    expect(found.named.filter((name) => !found.loaded.includes(name))).toEqual([]);
    await opened.close();
  });

  it('lets Observable Plot and uPlot draw under the policy', async () => {
    const opened = await studio.open('/runs');
    const { page } = opened;
    const assets = await page.evaluate<string>(
      "document.querySelector('script[type=module]').src.replace('main.js', '')",
    );
    const drawn = await page.evaluate<number>(`(async () => {
      const Plot = await import('${assets}vendor/observablehq-plot.js');
      const { default: UPlot } = await import('${assets}vendor/uplot.js');
      const marks = [Plot.dot([1, 2, 3], { x: (d) => d, y: (d) => d, fill: (d) => d, tip: true }), Plot.ruleY([0])];
      const plot = Plot.plot({ className: 'plot', marks });
      const legend = Plot.legend({ className: 'plot', color: { domain: [0, 1] } });
      document.querySelector('main').append(plot, legend);
      new UPlot({ width: 300, height: 200, series: [{}, { stroke: 'blue' }] }, [[1, 2], [3, 4]], document.querySelector('main'));
      return document.querySelectorAll('main svg circle, main canvas').length;
    })()`);
    expect(drawn).toBeGreaterThan(3);
    expect(await page.evaluate('getComputedStyle(document.querySelector("main svg.plot")).display')).toBe('block');
    await opened.close();
  });
});
