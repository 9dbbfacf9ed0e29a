import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectGenerator } from '../src/generate/index.ts';
import { defaultRetrievalSettings } from '../src/retrieve/index.ts';
import { noBrowser, openStudioInBrowser, type StudioInBrowser } from './support/browser.ts';
import { ChatServer } from './support/chat-server.ts';
import { written } from './support/served-letters.ts';

const run = promisify(execFile);
const WORDS = ['river', 'stone', 'lamp', 'saw', 'ship', 'sea', 'wine', 'grape', 'farm', 'yield', 'trade', 'craft'];

/** What is copied is run as it is: `llm-qe` is a program on the path, and the package is installed beside the code. */
describe.skipIf(noBrowser)(`what Try copies${noBrowser ? ` (skipped: ${noBrowser})` : ''}`, () => {
  let folder: string;
  let chat: ChatServer;
  let studio: StudioInBrowser;
  const home = process.env.LLM_QE_HOME;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'studio-copied-'));
    process.env.LLM_QE_HOME = join(folder, 'home');
    const lines = WORDS.map((word, at) =>
      JSON.stringify({ _id: `d${at}`, text: `a ${word} and a ${WORDS[(at * 5 + 1) % 12]}` }),
    );
    await writeFile(join(folder, 'docs.jsonl'), `${lines.join('\n')}\n`);
    chat = await ChatServer.start(({ messages }) =>
      written(`a ship of ${messages[0]!.content.length} grapes, and the sea`),
    );
    const encoder = resolve('src/embed/goldens/tiny-encoder');
    studio = await openStudioInBrowser({
      corpora: [join(folder, 'docs.jsonl')],
      // Neither similarity nor length is the usual one.
      settings: defaultRetrievalSettings({ encoder, similarity: 'cosine', maxLength: 6, threads: 1 }),
      generators: [chat.baseUrl],
      generatorOptions: [['--model', 'toy']],
      openGenerator: () => connectGenerator({ baseUrls: [chat.baseUrl], model: 'toy', retries: 0 }),
    });
    await mkdir(join(folder, 'bin'));
    await writeFile(
      join(folder, 'bin', 'llm-qe'),
      `#!/bin/sh\nexec "${process.execPath}" "${resolve('dist/cli/main.js')}" "$@"\n`,
      { mode: 0o755 },
    );
    await mkdir(join(folder, 'node_modules'));
    await symlink(resolve('.'), join(folder, 'node_modules', 'llm-qe'));
    await symlink(resolve('node_modules/@types'), join(folder, 'node_modules', '@types'));
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  });
  afterAll(async () => {
    await studio?.close();
    await chat?.stop();
    if (home === undefined) delete process.env.LLM_QE_HOME;
    else process.env.LLM_QE_HOME = home;
    await rm(folder, { recursive: true, force: true });
  });

  /** Ids and scores of a list on the screen. */
  const shown = async (page: Page, label: string) => {
    const cards = page.getByRole('list', { name: label, exact: true }).getByRole('listitem');
    const texts = await cards.locator('h3').allInnerTexts();
    const scores = await cards.locator('.score').allInnerTexts();
    return texts.map((id, at) => `${id} ${scores[at]!.replace('−', '-')}`);
  };
  const copied = async (page: Page, name: string) => {
    await page.getByRole('button', { name }).click();
    const dialog = page.getByRole('dialog', { name });
    const text = (await dialog.locator('code').textContent())!;
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    return text;
  };
  const env = () => ({ ...process.env, PATH: `${join(folder, 'bin')}${delimiter}${process.env.PATH}` });

  it.each([
    ['dense', "by=dense&alpha=0.35&n=2&q=it's a $HOME `sea`"],
    ['bm25', 'by=bm25&repeats=3&q=-ship of grapes'],
    ['rrf', 'by=rrf&alpha=0.8&n=2&q=farm&prompt-a=Say "more" on {query}, at $5!'],
  ])('as a command and as code gives the ranking on the screen: %s', async (_by, params) => {
    const opened = await studio.open(`/try?${new URLSearchParams(params)}`);
    const { page } = opened;
    await page.getByRole('list', { name: 'Ranking with expansions' }).waitFor();
    const expanded = await shown(page, 'Ranking with expansions');
    const raw = await shown(page, 'Ranking of the raw query');
    expect(expanded).not.toEqual(raw);

    const command = await copied(page, 'Copy as command');
    const told = await run('sh', ['-c', `${command} --json`], { cwd: folder, env: env() });
    const { documents: hits } = JSON.parse(told.stdout) as { documents: { id: string; score: number }[] };
    expect(hits.map(({ id, score }) => `${id} ${score.toFixed(4)}`)).toEqual(expanded);

    await writeFile(join(folder, 'copied.ts'), await copied(page, 'Copy as code'));
    const options = ['--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2023', '--types', 'node'];
    await run(resolve('node_modules/.bin/tsc'), [...options, 'copied.ts'], { cwd: folder });
    const printed = (await run(process.execPath, ['copied.js'], { cwd: folder, env: env() })).stdout;
    const lists = [...printed.matchAll(/^(raw|a) \[([^\]]*)\]/gm)].map(([, arm, list]) => [
      arm,
      [...list!.matchAll(/'([^']+)'/g)].map(([, hit]) => hit),
    ]);
    expect(Object.fromEntries(lists)).toEqual({ raw, a: expanded });
    await opened.close();
  });
});
