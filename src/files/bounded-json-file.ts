import { open } from 'node:fs/promises';
import { z } from 'zod';
import { DataError, refuseStandIn, STAND_IN_BYTES, systemFault } from '../system/index.ts';
import { describeIssues } from './jsonl.ts';

/** More complaints than this are not listed: a hostile file could cause thousands. */
const MOST_ISSUES = 3;

export interface BoundedJsonOptions {
  /** What the file should be: `a gate`. */
  what: string;
  /** How to get such a file. */
  fix: string;
  /** A larger file is refused before it is read; 1 MiB by default. */
  mostBytes?: number | undefined;
}

/**
 * Reads a JSON file that may come from someone else: its size is bounded, and the schema decides about every field.
 * @throws DataError naming the file and the fields; ResourceError
 */
export async function readBoundedJson<T>(
  file: string,
  schema: z.ZodType<T>,
  { what, fix, mostBytes = 2 ** 20 }: BoundedJsonOptions,
): Promise<T> {
  const bytes = await readAtMost(file, mostBytes).catch((error: unknown) => {
    throw systemFault(error, file);
  });
  if (bytes === undefined) throw new DataError(`is larger than ${mostBytes} bytes: not ${what}`, { file, fix });
  refuseStandIn(bytes.subarray(0, STAND_IN_BYTES), file);
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw new DataError(`is not ${what}: ${reasonOf(cause)}`, { file, fix, cause });
  }
}

/** Returns undefined for a larger file, and for a device, which may never end. */
async function readAtMost(file: string, mostBytes: number): Promise<Buffer | undefined> {
  const handle = await open(file);
  try {
    const facts = await handle.stat();
    if (facts.size > mostBytes || facts.isCharacterDevice()) return undefined;
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof z.ZodError)) return (cause as Error).message;
  const { issues } = cause;
  const said = describeIssues(new z.ZodError(issues.slice(0, MOST_ISSUES)));
  return issues.length > MOST_ISSUES ? `${said}; and ${issues.length - MOST_ISSUES} more` : said;
}
