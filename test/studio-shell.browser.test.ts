import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LOOKS, type Look, noBrowser, openStudioInBrowser, type StudioInBrowser } from './support/browser.ts';

describe.skipIf(noBrowser)(`the studio in a browser${noBrowser ? ` (skipped: ${noBrowser})` : ''}`, () => {
  let studio: StudioInBrowser;
  beforeAll(async () => {
    studio = await openStudioInBrowser();
  });
  afterAll(() => studio.close());

  const screens = ['try', 'runs', 'queries', 'judge', 'exports'];
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
});
