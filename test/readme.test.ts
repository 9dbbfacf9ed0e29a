import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command as Commander } from 'commander';
import { describe, expect, it } from 'vitest';
import { CATALOGUE } from '../src/cli/catalogue.ts';
import { addOptions, parseOptions } from '../src/cli/options.ts';

/** What the pages promise: each command line in them is one that the program accepts, and each link leads somewhere. */
const PAGES = [
  'README.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

function commandLines(page: string): string[] {
  const blocks = readFileSync(page, 'utf8').matchAll(/```sh\n([\s\S]*?)```/g);
  return [...blocks].flatMap((block) => {
    const lines = block[1]!.replaceAll('\\\n', ' ').split('\n');
    return lines.flatMap((line) => /(?:^|&& )(?:npx )?llm-qe (.+)$/.exec(line)?.[1] ?? []);
  });
}

/** Splits as a shell would, for the little that the pages use: quotes, and comments at the end. */
function splitWords(line: string): string[] {
  const words = [...line.matchAll(/"([^"]*)"|(#.*)|(\S+)/g)];
  return words.filter((match) => match[2] === undefined).map((match) => match[1] ?? match[3]!);
}

async function parse(words: string[]): Promise<unknown> {
  const name = [words.slice(0, 2).join(' '), words[0]!].find((candidate) => candidate in CATALOGUE);
  if (name === undefined) throw new Error(`no command ${words.join(' ')}`);
  const { command } = await CATALOGUE[name]!();
  const target = new Commander(name).exitOverride().configureOutput({ writeErr: () => {} });
  addOptions(target, command);
  target.parse(words.slice(name.split(' ').length), { from: 'user' });
  const positional = (command.arguments ?? []).map(({ key }, row) => [key, target.processedArgs[row]]);
  return parseOptions(command, { ...target.opts(), ...Object.fromEntries(positional) });
}

const lines = PAGES.flatMap((page) => commandLines(page).map((line) => [page, line] as const));

describe('pages', () => {
  it('hold command lines', () => {
    expect(lines.length).toBeGreaterThan(8);
  });

  it.each(lines)('%s: llm-qe %s', async (_page, line) => {
    expect(await parse(splitWords(line))).toBeDefined();
  });

  it.each(PAGES)('%s links to files that exist', (page) => {
    const targets = [...readFileSync(page, 'utf8').matchAll(/\]\(([^)#]+)\)/g)].map((match) => match[1]!);
    const local = targets.filter((target) => !/^https?:/.test(target));
    expect(local.filter((target) => !existsSync(join(dirname(page), target)))).toEqual([]);
  });

  it('names every command in the README', () => {
    const text = readFileSync('README.md', 'utf8');
    const missing = Object.keys(CATALOGUE).filter((name) => !name.split(' ').every((word) => text.includes(word)));
    expect(missing).toEqual([]);
  });
});
