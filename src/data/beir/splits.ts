import { basename } from 'node:path';
import { z } from 'zod';
import { duplicateId, IdSet, idSchema, parseJsonLine, RowFile, readLines } from '../../files/index.ts';
import {
  DataError,
  deriveSeed,
  type Progress,
  Random,
  refuseOverwriting,
  SILENT,
  UsageError,
} from '../../system/index.ts';

/**
 * How many of `total` a size stands for: a whole number of 1 or more is itself, a number below 1 is a share (rounded).
 *
 * @throws UsageError for a size that is negative, broken, or more than there is
 */
export function resolveSize(size: number, total: number): number {
  const count = size < 1 ? Math.round(size * total) : size;
  if (size >= 0 && Number.isInteger(count) && count <= total) return count;
  throw new UsageError(`cannot take ${size} of ${total} rows`, {
    fix: `Give a whole number up to ${total}, or a share between 0 and 1.`,
  });
}

/**
 * Splits identifiers at random into two parts, each in the given order.
 *
 * @param size of the development part: a number, or a share below 1
 * @throws UsageError when there are fewer identifiers than asked for
 */
export function splitIds(ids: Iterable<string>, size: number, seed: number): { train: string[]; dev: string[] } {
  const all = [...ids];
  const choose = chooser(resolveSize(size, all.length), all.length, seed);
  const train: string[] = [];
  const dev: string[] = [];
  for (const id of all) (choose() ? dev : train).push(id);
  return { train, dev };
}

/**
 * Says for one row after the other whether it is chosen, so that exactly `count` of `total` rows are, each set of that
 * size with the same probability (selection sampling: Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
 */
function chooser(count: number, total: number, seed: number): () => boolean {
  const random = new Random(deriveSeed(seed, 'split'));
  let wanted = count;
  let left = total;
  return () => {
    const chosen = random.below(left) < wanted;
    left--;
    if (chosen) wanted--;
    return chosen;
  };
}

export interface SplitOptions {
  /** Where the chosen rows go. */
  chosen: string;
  /** Where all others go. */
  rest: string;
  /** Number of chosen rows, or their share (below 1). */
  size: number;
  seed: number;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/**
 * Splits a JSONL file (gzip allowed) at random into two, exactly, as a stream: the rows are counted in a first pass and
 * chosen in a second, both parts in the file's order. A row without an id gets `<file>-<line>`.
 *
 * @returns the number of rows in each part
 * @throws DataError for a broken row and for an id given twice; UsageError for a size beyond the file's and for parts that
 * would overwrite the file
 */
export async function splitRows(file: string, options: SplitOptions): Promise<{ chosen: number; rest: number }> {
  await refuseOverwriting({
    inputs: { 'the file to split': file },
    outputs: { 'the first part': options.chosen, 'the second part': options.rest },
    fix: 'Name another folder for the parts (--out).',
  });
  const total = await countLines(file, options.signal);
  if (total === 0) throw new DataError('the file holds no row', { file, fix: 'Name a JSONL file with rows.' });
  const count = resolveSize(options.size, total);
  const choose = chooser(count, total, options.seed);
  const chosen = await RowFile.create(options.chosen);
  const rest = await RowFile.create(options.rest);
  const task = (options.progress ?? SILENT).task('splitting', total, 'rows');
  try {
    for await (const row of rowsWithId(file, options.signal)) {
      await (choose() ? chosen : rest).write(row);
      task.advance();
    }
    if (chosen.rows + rest.rows !== total) {
      throw new DataError('the file changed while it was read', { file, fix: 'Run the same command again.' });
    }
    await chosen.commit();
    await rest.commit();
  } catch (error) {
    await chosen.discard();
    await rest.discard();
    throw error;
  } finally {
    task.done();
  }
  return { chosen: chosen.rows, rest: rest.rows };
}

async function countLines(file: string, signal: AbortSignal | undefined): Promise<number> {
  let lines = 0;
  for await (const _ of readLines(file, { signal })) lines++;
  return lines;
}

const rowSchema = z.looseObject({ id: idSchema.optional(), _id: idSchema.optional() });

/** The rows as they stand in the file; the id is written into those that have none. */
async function* rowsWithId(file: string, signal: AbortSignal | undefined): AsyncGenerator<string> {
  const stem = basename(file).replace(/(\.jsonl)?(\.gz)?$/, '');
  const seen = new IdSet();
  for await (const { text, line } of readLines(file, { signal })) {
    const row = parseJsonLine(text, rowSchema, file, line);
    const given = row.id ?? row._id;
    const id = given ?? `${stem}-${line}`;
    if (!seen.add(id)) throw duplicateId(file, line, id, 'row');
    yield given === undefined ? withId(text, id) : text;
  }
}

/** Written into the text, so that all else of the row stays as it is, to the digits of its numbers. */
function withId(text: string, id: string): string {
  const open = text.trimEnd().slice(0, -1).trimEnd();
  return `${open}${open.endsWith('{') ? '' : ','}"id":${JSON.stringify(id)}}`;
}
