import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import { systemFault, UsageError } from '../system/index.ts';

/** Where the raw run goes beside the expanded one: `run.trec` has `run-raw.trec`. */
export function rawRunFile(file: string): string {
  const extension = extname(file);
  return `${file.slice(0, file.length - extension.length)}-raw${extension}`;
}

/**
 * Refuses a file that nobody named (the raw run's) if something else than a run of this program stands there.
 *
 * @throws UsageError
 */
export async function checkRawRunFile(file: string): Promise<void> {
  const line = await firstLine(file);
  if (line === undefined || line === '' || /^\S+ \S+ \S+ \d+ \S+ llm-qe-/.test(line)) return;
  throw new UsageError('the raw run would overwrite this file, which is not a run of llm-qe', {
    file,
    fix: 'Give --run-out another name.',
  });
}

async function firstLine(file: string): Promise<string | undefined> {
  try {
    const handle = await open(file);
    try {
      const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(4096) });
      return buffer.toString('utf8', 0, bytesRead).split('\n')[0];
    } finally {
      await handle.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw systemFault(error, file);
  }
}
