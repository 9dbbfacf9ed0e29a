import { asMessage } from './network/redact.ts';

/** Where a fault was found. Every known part appears in the message. */
export interface FaultPlace {
  file?: string | undefined;
  /** 1-based. */
  line?: number | undefined;
  /** Id of the query, document, tensor or request. */
  id?: string | undefined;
}

export interface FaultOptions extends FaultPlace {
  /** What the user can do about it, in the imperative. */
  fix: string;
  cause?: unknown;
}

/**
 * The base class of every error that this package throws on purpose. The message says where and what; `fix` says what to do. The
 * command line prints both without a stack trace. Neither shows a secret or more than a screen of text.
 */
export class LlmQeError extends Error {
  readonly fix: string;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly id: string | undefined;

  constructor(reason: string, options: FaultOptions) {
    super(
      asMessage(`${describePlace(options)}${reason}`),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = new.target.name;
    this.fix = asMessage(options.fix);
    this.file = options.file;
    this.line = options.line;
    this.id = options.id;
  }
}

/** A broken file can hold an id of megabytes; a message shows only its beginning. */
const LONGEST_ID = 200;

function describePlace({ file, line, id }: FaultPlace): string {
  const place = [file === undefined ? undefined : line === undefined ? file : `${file}:${line}`];
  if (id !== undefined)
    place.push(`id ${JSON.stringify(id.slice(0, LONGEST_ID))}${id.length > LONGEST_ID ? '...' : ''}`);
  const known = place.filter((part) => part !== undefined);
  return known.length === 0 ? '' : `${known.join(', ')}: `;
}

/** The command or the call was used wrongly (exit code 2). */
export class UsageError extends LlmQeError {}

/** A data file is missing, broken, or contradicts another. */
export class DataError extends LlmQeError {}

/** A checkpoint, tokenizer or adapter is missing, broken or not supported. */
export class ModelError extends LlmQeError {}

/** A remote service could not be reached or refused. */
export class NetworkError extends LlmQeError {}

/** The machine lacks something: disk space, memory, permissions. */
export class ResourceError extends LlmQeError {}

/** The user or the caller stopped the work. Finished work is kept. */
export class AbortedError extends LlmQeError {
  constructor(reason = 'stopped', options: Partial<FaultOptions> = {}) {
    super(reason, { fix: 'Run the same command again: it resumes where it stopped.', ...options });
  }
}

/** Throws {@link AbortedError} if the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortedError();
}

/** Returns whether an error means "stopped on purpose", whether this package or Node throws it. */
export function isAbort(error: unknown): boolean {
  return error instanceof AbortedError || (error instanceof Error && error.name === 'AbortError');
}

const SYSTEM_FAULTS: Record<string, { reason: string; fix: string }> = {
  ENOSPC: {
    reason: 'the disk is full',
    fix: 'Free some space and run the same command again: finished work is kept.',
  },
  EDQUOT: { reason: 'the disk quota is used up', fix: 'Free some space and run the same command again.' },
  EACCES: { reason: 'permission denied', fix: 'Check who owns the file and its folder, or choose another path.' },
  EPERM: { reason: 'operation not permitted', fix: 'Check who owns the file and its folder, or choose another path.' },
  EROFS: { reason: 'the file system is read-only', fix: 'Choose a path that can be written.' },
  EISDIR: { reason: 'is a folder, not a file', fix: 'Use a file inside it.' },
  ENOTDIR: {
    reason: 'a part of the path is not a folder (but a file, or a broken link)',
    fix: 'Use the path of a folder.',
  },
  EEXIST: { reason: 'a file is where a folder is needed', fix: 'Choose another path, or move the file elsewhere.' },
  ENAMETOOLONG: { reason: 'the name is longer than the file system allows', fix: 'Choose a shorter name.' },
  ELOOP: { reason: 'the path holds circular links', fix: 'Use the real path.' },
  EFBIG: { reason: 'the file grows larger than the file system allows', fix: 'Choose a path on another disk.' },
  EPIPE: { reason: 'the program that read it has ended', fix: 'Write into a file, or keep the reader running.' },
  ENXIO: { reason: 'nothing reads or writes at the other end', fix: 'Use a file, or start the other end first.' },
  EIO: { reason: 'the disk failed to read or write', fix: 'Check the disk, or choose a path on another one.' },
  EMFILE: { reason: 'too many open files', fix: 'Raise the limit (ulimit -n) and run the same command again.' },
  ENOENT: { reason: 'no such file or folder', fix: 'Check the path.' },
  ERR_FS_FILE_TOO_LARGE: {
    reason: 'the file is too large to be read at once',
    fix: 'Check that this is the right file.',
  },
  ERR_STRING_TOO_LONG: { reason: 'the text is too long', fix: 'Check that this is the right file.' },
};

/**
 * Turns an error of Node's file system calls into a typed error; any other error is returned unchanged. A missing file becomes a
 * {@link DataError}, every other fault a {@link ResourceError}.
 */
export function systemFault(error: unknown, file: string): unknown {
  if (isBadPath(error)) {
    const fix = 'Remove it from the path. A name that was read from a file may be damaged.';
    return new UsageError('the path holds a NUL character, which is not allowed in paths', { file, fix, cause: error });
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  if (code === undefined || error instanceof LlmQeError) return error;
  const known = Object.hasOwn(SYSTEM_FAULTS, code) ? SYSTEM_FAULTS[code] : unusualFault(code, error as Error);
  if (known === undefined) return error;
  const kind = code === 'ENOENT' ? DataError : ResourceError;
  return new kind(known.reason, { file, fix: known.fix, cause: error });
}

/** Node refuses a path with NUL before the operating system sees it. */
function isBadPath(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_INVALID_ARG_VALUE') return false;
  return /null bytes|\\x00|\0/.test(error.message);
}

/** Node adds the path to errors about files, but not to those about sockets and programs. */
function unusualFault(code: string, error: Error): { reason: string; fix: string } | undefined {
  if (!('path' in error) || !('syscall' in error) || `${error.syscall}`.startsWith('spawn')) return undefined;
  return { reason: `the operating system refused it (${code})`, fix: 'Check the path, or choose another one.' };
}
