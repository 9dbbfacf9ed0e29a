import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { RequestError } from '../../serve/index.ts';
import { redact } from '../../system/index.ts';
import type { RunLog, RunProcess } from '../shapes/recipes.ts';
import { OWN_FOLDER } from './run-folder.ts';

const LOG_FILE = 'log.txt';
/** The end of a log that is shown, in bytes. */
const SHOWN_BYTES = 32 * 1024;

/** Begins what each process writes. */
const START_LINE = '=== started';

/** Opens the log of a run, to append what a new process of a command writes. @param own the studio's folder there */
export async function openLog(own: string, command: string): Promise<FileHandle> {
  const file = join(own, LOG_FILE);
  const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW = 0 } = constants;
  const log = await open(file, O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW, 0o600).catch((cause: unknown) => {
    throw new RequestError(409, `${file} cannot be written`, { fix: 'Remove it.', cause });
  });
  await log.appendFile(`\n${START_LINE} ${new Date().toISOString()}\n$ ${command}\n`);
  return log;
}

/** The end of what the processes of a run wrote, without keys. Empty if none was started here. */
export async function readLog(folder: string): Promise<RunLog> {
  const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  const isOwn = (await lstat(join(folder, OWN_FOLDER)).catch(() => undefined))?.isDirectory() ?? false;
  const none = { text: '', isCut: false };
  if (!isOwn) return none;
  const file = await open(join(folder, OWN_FOLDER, LOG_FILE), O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(
    () => undefined,
  );
  if (file === undefined) return none;
  try {
    const facts = await file.stat();
    if (!facts.isFile()) return none;
    const from = Math.max(0, facts.size - SHOWN_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(SHOWN_BYTES), 0, SHOWN_BYTES, from);
    const text = buffer.subarray(0, bytesRead).toString('utf8');
    // The first line may be cut in half, and with it a character.
    const whole = from === 0 ? text : text.slice(text.indexOf('\n') + 1);
    return { text: redact(whole).trimStart(), isCut: from > 0 };
  } finally {
    await file.close();
  }
}

/** How the last process ended. A report that is newer than the log was written by a later one, from the command line. */
export async function lastEnd(folder: string): Promise<RunProcess['end']> {
  const files = [join(folder, 'report.html'), join(folder, OWN_FOLDER, LOG_FILE)];
  const [report, log] = await Promise.all(files.map((file) => lstat(file).catch(() => undefined)));
  if (report !== undefined && log !== undefined && report.mtimeMs > log.mtimeMs)
    return { kind: 'finished', message: '' };
  return endOf((await readLog(folder)).text);
}

/**
 * How the process ended that wrote the log, by its last words: `manifest: FILE`, or `error: ...` or `stopped` with the fix below. Who is killed says
 * nothing.
 */
function endOf(log: string): RunProcess['end'] {
  const last = log.slice(Math.max(0, log.lastIndexOf(START_LINE)));
  const lines = last.split('\n').filter((line) => line.trim() !== '');
  const at = lines.findLastIndex((line) => /^(error: |stopped$|manifest: )/.test(line));
  const words = at < 0 ? '' : lines.slice(at).join(' ').replace(/\s+/g, ' ');
  if (words.startsWith('error: ')) return { kind: 'failed', message: words.slice('error: '.length) };
  if (words.startsWith('manifest: ')) return { kind: 'finished', message: '' };
  if (words !== '') return { kind: 'stopped', message: '' };
  return { kind: 'killed', message: 'It was killed, or the machine went down: it wrote no last word.' };
}
