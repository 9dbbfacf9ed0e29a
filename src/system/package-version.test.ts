import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { packageCommit } from './package-version.ts';

const [FIRST, SECOND] = ['a1'.repeat(20), 'b2'.repeat(20)];
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'package-version-'));
});
afterEach(() => rm(root, { recursive: true }));

async function put(files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
}

test.each<[string, Record<string, string>, string | undefined]>([
  ['a branch', { '.git/HEAD': 'ref: refs/heads/main\n', '.git/refs/heads/main': `${FIRST}\n` }, FIRST],
  ['no branch', { '.git/HEAD': `${SECOND}\n` }, SECOND],
  [
    'a packed branch',
    {
      '.git/HEAD': 'ref: refs/heads/a\n',
      '.git/packed-refs': `# pack\n${SECOND} refs/heads/aa\n${FIRST} refs/heads/a\n`,
    },
    FIRST,
  ],
  [
    'a worktree',
    {
      '.git': 'gitdir: common/worktrees/w\n',
      'common/worktrees/w/HEAD': 'ref: refs/heads/w\n',
      'common/worktrees/w/commondir': '../..\n',
      'common/refs/heads/w': `${FIRST}\n`,
    },
    FIRST,
  ],
  ['a branch without a commit', { '.git/HEAD': 'ref: refs/heads/new\n' }, undefined],
  ['an installed package', { 'package.json': '{}' }, undefined],
])('the commit of %s', async (_name, files, commit) => {
  await put(files);
  expect(packageCommit(root)).toBe(commit);
});
