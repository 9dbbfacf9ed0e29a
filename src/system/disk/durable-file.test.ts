import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ResourceError } from '../errors.ts';
import { writeDurably } from './durable-file.ts';

let folder: string;
const at = (name: string) => join(folder, name);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'durable-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe.skipIf(process.platform === 'win32')('a file that appears when it is complete', () => {
  it.each(['target', './deep/target', 'absolute'])('is written where a link leads: %s', async (target) => {
    await mkdir(at('deep'));
    await symlink(target === 'absolute' ? at('elsewhere') : target, at('first'));
    await symlink('first', at('second'));
    await writeDurably(at('second'), 'one');
    await writeDurably(at('second'), 'two');
    expect(await readFile(at(target === 'absolute' ? 'elsewhere' : target), 'utf8')).toBe('two');
    expect((await lstat(at('first'))).isSymbolicLink()).toBe(true);
    expect((await lstat(at('second'))).isSymbolicLink()).toBe(true);
  });

  it('reports circular links', async () => {
    await symlink('b', at('a'));
    await symlink('a', at('b'));
    await expect(writeDurably(at('a'), 'x')).rejects.toThrow(/circular/);
  });

  it('goes through a named pipe, which stays one', async () => {
    await promisify(execFile)('mkfifo', [at('pipe')]);
    const reader = spawn('cat', [at('pipe')], { stdio: ['ignore', 'pipe', 'ignore'] });
    const text = reader.stdout.toArray();
    await writeDurably(at('pipe'), 'through');
    expect(Buffer.concat(await text).toString()).toBe('through');
    expect((await lstat(at('pipe'))).isFIFO()).toBe(true);
    expect(await readdir(folder)).toEqual(['pipe']);
  });

  it.skipIf(process.platform !== 'linux')('reports that a full device is full, and keeps the device', async () => {
    const error = await writeDurably('/dev/full', 'x').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ResourceError);
    expect((error as ResourceError).message).toBe('/dev/full: the disk is full');
    await writeDurably('/dev/null', 'x');
    expect((await lstat('/dev/null')).isCharacterDevice()).toBe(true);
  });

  it.each(['/dev/stdout', '/dev/fd/1'])('writes to %s, whether it is a pipe or a file', async (name) => {
    const code = `
      import { writeDurably } from ${JSON.stringify(resolve('dist/system/index.js'))};
      console.log('before');
      await writeDurably('${name}', 'run');
      console.log(' after');`;
    const piped = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code]);
    expect(piped.stdout).toBe('before\nrun after\n');
    await writeFile(at('code.mjs'), code);
    const shell = spawn('sh', ['-c', `"$0" code.mjs >> out.txt`, process.execPath], { cwd: folder, stdio: 'inherit' });
    expect(await once(shell, 'exit')).toEqual([0, null]);
    expect(await readFile(at('out.txt'), 'utf8')).toBe('before\nrun after\n');
  });
});
