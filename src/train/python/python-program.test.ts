import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PythonProgram, runPython } from './python-program.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-python-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function program(script: string, onLine: PythonProgram['onLine']): PythonProgram {
  return {
    ...{ name: 'it', folder, python: 'sh', words: ['-c', script], environment: process.env, savesMemory: '' },
    ...{ logFile: 'it.log', processFile: '.it-process', onLine },
  };
}

describe('a program', () => {
  it('that ends before its output is read loses none of it', async () => {
    const seen: string[] = [];
    const running = runPython(program('echo one; echo two; echo three >&2', async (line) => void seen.push(line)));
    // It has ended when this process sees anything of it.
    execFileSync('sleep', ['0.3']);
    await running;
    expect(seen).toEqual(['one', 'two']);
    const log = await readFile(join(folder, 'it.log'), 'utf8');
    expect(log.trim().split('\n').toSorted()).toEqual(['one', 'three', 'two']);
  }, 20_000);

  it('is known by its folder when its first line is received', async () => {
    const marks: string[] = [];
    const onLine = async () => void marks.push(await readFile(join(folder, '.it-process'), 'utf8'));
    await runPython(program('echo one; sleep 0.1', onLine));
    expect(marks).toHaveLength(1);
    expect(marks[0]).toMatch(/^\d+ \S/);
  });
});
