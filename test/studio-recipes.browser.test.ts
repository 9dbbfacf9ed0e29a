import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LOOKS, type Look, noBrowser, openStudioInBrowser, type StudioInBrowser } from './support/browser.ts';
import { RecipePlace, SECRET_KEY } from './support/recipe-place.ts';

describe.skipIf(noBrowser)(`recipes in a browser${noBrowser ? ` (skipped: ${noBrowser})` : ''}`, () => {
  let place: RecipePlace;
  let studio: StudioInBrowser;
  beforeAll(async () => {
    place = await RecipePlace.open();
    await writeFile(join(place.folder, 'own.yaml'), place.recipe().replace('similarity-gold: 1', './mine.mjs: 1'));
    await writeFile(join(place.folder, 'broken.yaml'), 'name: [\n');
    const program = [process.execPath, resolve('dist/cli/main.js')];
    studio = await openStudioInBrowser({ runs: place.runs, folder: place.folder, program });
  });
  afterAll(async () => {
    await studio.close();
    await place.close();
  });

  it.each(Object.keys(LOOKS) as Look[])('shows the form in the look %s', async (look) => {
    const opened = await studio.open('/runs?recipe=demo', look);
    const { page } = opened;
    await page.getByRole('heading', { name: 'At the command line' }).waitFor();
    await page.getByText('llm-qe align demo --out').waitFor();
    await opened.expectAccessible();
    await opened.expectNoSidewaysScroll();
    await opened.picture(`recipes-form-${look}`);
    for (const summary of await page.locator('details.more > summary').all()) await summary.click();
    await page.getByLabel('gradientCheckpointing').waitFor();
    // All 280 fields are of few kinds: once is enough, and takes long.
    if (look === 'dark') await opened.expectAccessible();
    await opened.expectNoSidewaysScroll();
    await page.getByRole('group', { name: 'dpo' }).scrollIntoViewIfNeeded();
    await opened.picture(`recipes-form-whole-${look}`);
    await opened.close();
  });

  it('says at each field what is wrong, in words, and what the command is', async () => {
    const opened = await studio.open('/runs?recipe=demo');
    const { page } = opened;
    const dpo = page.getByRole('group', { name: 'dpo' });
    await dpo.getByLabel('beta').fill('-1');
    await dpo.getByText('Too small').waitFor();
    expect(await page.getByRole('button', { name: 'Plan' }).isDisabled()).toBe(true);
    await opened.expectAccessible();
    await opened.picture('recipes-wrong');
    await dpo.getByLabel('beta').fill('0.2');
    await page.getByText('--set dpo.beta=0.2').waitFor();
    await page.getByRole('group', { name: 'data' }).getByLabel('kind').selectOption('beir');
    await page.getByRole('group', { name: 'data' }).getByText('is missing').waitFor();
    await page.getByRole('group', { name: 'data' }).getByLabel('folder').fill('"] } no <b>set</b>');
    await page.getByText(`--set data.kind=beir --set 'data.folder="\\"] } no <b>set</b>"'`).waitFor();
    expect(await page.locator('main b').count()).toBe(0);
    await opened.close();
  });

  it('says what is wrong with a file, and does not plan it', async () => {
    const opened = await studio.open('/runs?recipe=demo');
    const { page } = opened;
    await page.getByLabel('Recipe').selectOption('./broken.yaml');
    await page.getByText('is not YAML').waitFor();
    expect(opened.faults.splice(0)).toEqual([expect.stringContaining('422')]);
    await page.getByLabel('Recipe').selectOption('./own.yaml');
    await page.getByRole('button', { name: 'Plan' }).click();
    await page.getByText('It cannot be started').waitFor();
    await page.getByText('Code of yours').waitFor();
    expect(await page.getByRole('button', { name: 'Start' }).isDisabled()).toBe(true);
    await page.getByRole('group', { name: 'To confirm' }).scrollIntoViewIfNeeded();
    await opened.picture('recipes-code');
    await opened.close();
  });

  it('plans, starts, follows, stops, resumes and ends a run, by keyboard and pointer', async () => {
    const opened = await studio.open('/runs');
    const { page } = opened;
    await page.locator('body').press('n');
    await page.getByLabel('Recipe').selectOption('./tiny.yaml');
    await page.getByRole('group', { name: 'dpo' }).getByLabel('beta').fill('0.2');
    await page.getByRole('group', { name: 'the run' }).getByLabel('Threads').fill('1');
    await page.getByText('--set dpo.beta=0.2').waitFor();
    await page.getByRole('button', { name: 'Plan' }).press('Enter');
    await page.getByText('Time, at most').waitFor();
    const start = page.getByRole('button', { name: 'Start' });
    expect(await start.isDisabled()).toBe(true);
    await opened.expectAccessible();
    await opened.expectNoSidewaysScroll();
    await page.getByRole('heading', { name: 'Plan' }).scrollIntoViewIfNeeded();
    await opened.picture('recipes-plan');
    await page.getByLabel(`${place.chat.baseUrl}/v1`).press('Space');
    await start.press('Enter');

    await page.getByRole('heading', { level: 1, name: 'tiny' }).waitFor();
    await page.getByText('Running as process').waitFor();
    await page.locator('summary', { hasText: 'candidates' }).waitFor();
    await page.locator('summary', { hasText: 'Log' }).click();
    await opened.expectAccessible();
    await opened.picture('recipes-running');
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('Stopped: resumes at stage candidates').waitFor();
    await opened.expectAccessible();
    await opened.picture('recipes-stopped');

    place.answer(true);
    await page.getByRole('button', { name: 'Resume' }).click();
    const dialog = page.getByRole('dialog', { name: 'Resume the run' });
    await dialog.getByRole('checkbox').press('Space');
    await opened.expectAccessible();
    await opened.picture('recipes-resume');
    await dialog.getByRole('button', { name: 'Confirm and resume' }).click();
    await page.locator('h1 + .run-facts', { hasText: 'finished' }).waitFor();
    await page.getByRole('link', { name: 'Scores' }).waitFor();
    expect(await page.locator('main img').count()).toBe(0);
    expect(await page.content()).not.toContain(SECRET_KEY);
    await opened.close();
  });
});
