import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

/** The built program, started as a user would; `npm test` builds it first. */
const MAIN = join(import.meta.dirname, '../../dist/cli/main.js');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'store-kill-'));
});
afterAll(() => rm(folder, { recursive: true }));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test.each(['SIGKILL', 'SIGTERM'] as const)('pip ends when the pull is ended by %s', async (signal) => {
  const note = join(folder, `pip-${signal}`);
  const script = `#!/bin/sh\n[ "$3" = --version ] && exit 0\necho $$ > ${note}\nexec /bin/sleep 60\n`;
  await writeFile(join(folder, 'python3'), script);
  await chmod(join(folder, 'python3'), 0o755);
  const environment = {
    HF_ENDPOINT: 'http://127.0.0.1:9',
    HF_HOME: folder,
    LLM_QE_HOME: join(folder, signal),
    PATH: folder,
  };
  const pull = spawn(process.execPath, [MAIN, 'models', 'pull', 'smollm2-135m-instruct'], {
    env: environment,
    stdio: 'ignore',
  });
  const pip = Number(
    await vi.waitFor(() => readFile(note, 'utf8').then((text) => text.trim() || Promise.reject()), 100_000),
  );
  expect(isAlive(pip)).toBe(true);
  pull.kill(signal);
  await vi.waitFor(() => expect(isAlive(pip)).toBe(false), 60_000);
});
