import { open } from 'node:fs/promises';
import { DataError, type FaultOptions, systemFault } from '../errors.ts';

/** What a file really is, in words, and how to fix it. */
export interface StandIn {
  /** Such as "a web page". */
  what: string;
  fix: string;
}

/** Number of bytes examined at a file's beginning. A server's refusal is shorter. */
export const STAND_IN_BYTES = 4096;

/** A file with fewer zero bytes may be genuine. */
const FEWEST_ZEROS = 16;

const LFS_POINTER = /^version https:\/\/(git-lfs\.github\.com|hawser\.github\.com)\/spec\/v\d/;
const ANNEX_POINTER = /^\/?(\.\.\/)*(\.git\/)?annex\/objects\//;
const WEB_PAGE =
  /^\s*(<!--[\s\S]*?-->\s*)*(<!doctype\s+html|<html\b|<head\b|<body\b|<\?xml[^>]*\?>\s*(<!doctype\s+html|<html\b|<Error\b))/i;
/** What hubs, buckets and proxies send instead of a file. */
const REFUSAL =
  /^\s*"?((error:?\s*)?(\d{3}:?\s*)?(entry|file|page|repository|revision|model|object)?\s*(page\s+)?not found|404.{0,40}|no such (file|key|object).{0,80}|access (to .{1,200} is restricted.{0,300}|denied)|invalid (username or password|credentials.{0,80})|(401 )?unauthorized|(403 )?forbidden|(500 )?internal server error|(502 )?bad gateway|(503 )?service (temporarily )?unavailable|too many requests|rate limit.{0,80})\.?"?\s*$/is;

/**
 * Recognises what is often saved or checked out in place of a file: a pointer of Git LFS or git-annex, a web page (of a login or an
 * error), a server's refusal. Every reader of model or data files calls this first.
 * @param start the file's first bytes, at most {@link STAND_IN_BYTES}
 */
export function findStandIn(start: Uint8Array): StandIn | undefined {
  const encoded = findEncoded(start);
  if (encoded !== undefined) return encoded;
  const text = new TextDecoder().decode(start.subarray(0, STAND_IN_BYTES));
  if (LFS_POINTER.test(text)) {
    return {
      what: 'a Git LFS pointer to it',
      fix: 'Get the file itself: run `git lfs install && git lfs pull` in its repository, or download it from its address.',
    };
  }
  if (ANNEX_POINTER.test(text)) {
    return {
      what: 'a git-annex pointer to it',
      fix: 'Get the file itself: run `git annex get FILE` (or `datalad get FILE`) in its repository.',
    };
  }
  if (WEB_PAGE.test(text)) {
    return {
      what: 'a web page (perhaps of a login or an error)',
      fix: 'Check the address, log in or send the access token that it requires, and download the file again.',
    };
  }
  const words = start.length < STAND_IN_BYTES ? refusalIn(text) : undefined;
  return words === undefined
    ? undefined
    : {
        what: `a server's message: ${JSON.stringify(words.slice(0, 120))}`,
        fix: "Check the file's name, its revision and your access to it, and download it again.",
      };
}

/** Recognises bytes that must be decoded first, or that a download left behind. Gzipped text files are unpacked before this check. */
function findEncoded(start: Uint8Array): StandIn | undefined {
  const [first, second, third, fourth] = start;
  if (first === 0x1f && second === 0x8b && third === 0x08) {
    return { what: 'gzip-compressed', fix: 'Unpack it with `gunzip`, or download it without compression.' };
  }
  if ((first === 0xff && second === 0xfe && fourth === 0) || (first === 0xfe && second === 0xff && third === 0)) {
    return { what: 'text in UTF-16', fix: 'Save the file in UTF-8.' };
  }
  if (start.length >= FEWEST_ZEROS && start.every((byte) => byte === 0)) {
    return { what: 'nothing but zero bytes, as an unfinished download leaves', fix: 'Download the file again.' };
  }
  return undefined;
}

function refusalIn(text: string): string | undefined {
  if (REFUSAL.test(text)) return text.trim();
  if (!text.trimStart().startsWith('{')) return undefined;
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null ? refusalOf(answer) : undefined;
  } catch {
    return undefined;
  }
}

const ANSWER_KEYS = new Set([
  'error',
  'message',
  'detail',
  'status',
  'statusCode',
  'code',
  'success',
  'documentation_url',
  'errors',
  'type',
  'param',
  'request_id',
]);

/** `{"error": "Entry not found"}`, `{"error": {"message": "..."}}` and similar: an object with nothing else. */
function refusalOf(answer: object): string | undefined {
  const entries = Object.entries(answer);
  if (entries.length === 0 || !entries.every(([key]) => ANSWER_KEYS.has(key))) return undefined;
  const words = ['error', 'message', 'detail', 'errors'].map((key) => entries.find(([name]) => name === key)?.[1]);
  for (const word of words.flat()) {
    if (typeof word === 'string') return word;
    const inner = typeof word === 'object' && word !== null ? refusalOf(word) : undefined;
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** The class of error to throw. */
type FaultType = new (reason: string, options: FaultOptions) => Error;

/** Refuses bytes in memory that are not the file itself. @param expected such as "a GGUF file" @throws an error of the given type */
export function refuseStandIn(
  start: Uint8Array,
  file: string,
  type: FaultType = DataError,
  expected = 'the file itself',
): void {
  const found = findStandIn(start);
  if (found !== undefined) throw new type(`is not ${expected}, but ${found.what}`, { file, fix: found.fix });
}

/** The same for a file on disk. @throws an error of the given type; DataError or ResourceError if it cannot be read */
export async function refuseStandInFile(file: string, type: FaultType = DataError): Promise<void> {
  const handle = await open(file).catch((error: unknown) => {
    throw systemFault(error, file);
  });
  try {
    const { bytesRead, buffer } = await handle.read(new Uint8Array(STAND_IN_BYTES), 0, STAND_IN_BYTES, 0);
    refuseStandIn(buffer.subarray(0, bytesRead), file, type);
  } finally {
    await handle.close();
  }
}
