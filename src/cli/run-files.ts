import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import { systemFault, UsageError } from '../system/index.ts';

/** The file of the run without expansions, in the folder of the expanded one: `run-raw.trec` for `run.trec`. */
export function rawRunFile(file: string, name: string): string {
  const extension = extname(file);
  return `${file.slice(0, file.length - extension.length)}-${name}${extension}`;
}

/**
 * Checks the file of that run, which the user did not name: it must not exist, or be a run of this program.
 *
 * @throws UsageError
 */
export async function checkRawRunFile(file: string): Promise<void> {
  const line = await firstLine(file);
  if (line === undefined || line === '' || /^\S+ \S+ \S+ \d+ \S+ llm-qe-/.test(line)) return;
  throw new UsageError('the run without expansions would overwrite this file, which is not a run of llm-qe', {
    file,
    fix: 'Pass another file to --run-out.',
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
