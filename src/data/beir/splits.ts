import { basename } from 'node:path';
import { z } from 'zod';
import { duplicateId, IdSet, idSchema, parseJsonLine, RowFile, readLines } from '../../files/index.ts';
import {
  counted,
  DataError,
  deriveSeed,
  type Progress,
  Random,
  refuseOverwriting,
  SILENT,
  UsageError,
} from '../../system/index.ts';

/**
 * Returns how many of `total` a size means: a whole number of at least 1 is a count, a number below 1 is a fraction (the result is
 * rounded).
 *
 * @throws UsageError if the size is negative, not a whole number, or more than `total`
 */
export function resolveSize(size: number, total: number): number {
  const count = size < 1 ? Math.round(size * total) : size;
  if (size >= 0 && Number.isInteger(count) && count <= total) return count;
  throw new UsageError(`cannot take ${size} of ${counted(total, 'row')}`, {
    fix: `Use a whole number up to ${total}, or a fraction between 0 and 1.`,
  });
}

/**
 * Splits ids at random into two parts, each in the given order.
 *
 * @param size of the development part: a number, or a fraction below 1
 * @throws UsageError if there are fewer ids than requested
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
 * Decides for one row after another whether it is chosen, so that exactly `count` of `total` rows are. Each set of that size has
 * the same probability (selection sampling: Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
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
  /** File of the chosen rows. */
  chosen: string;
  /** File of all other rows. */
  rest: string;
  /** Number of chosen rows, or their fraction (below 1). */
  size: number;
  seed: number;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/**
 * Splits a JSONL file (possibly gzipped) at random into two, as a stream: a first pass counts the rows, a second one chooses
 * exactly as many as requested. Both parts keep the file's order. A row without an id gets `<file>-<line>`.
 *
 * @returns the number of rows in each part
 * @throws DataError if a row is broken or an id occurs twice; UsageError if the size is larger than the file, or if a part would
 * overwrite the file
 */
export async function splitRows(file: string, options: SplitOptions): Promise<{ chosen: number; rest: number }> {
  await refuseOverwriting({
    inputs: { 'the file to split': file },
    outputs: { 'the first part': options.chosen, 'the second part': options.rest },
    fix: 'Choose another folder for the parts (--out).',
  });
  const total = await countLines(file, options.signal);
  if (total === 0) throw new DataError('the file holds no row', { file, fix: 'Use a JSONL file with rows.' });
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

/** Yields the rows unchanged, with an id added to those that have none. */
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

/** Inserts the id into the text of the row, so that everything else stays the same, including the digits of numbers. */
function withId(text: string, id: string): string {
  const open = text.trimEnd().slice(0, -1).trimEnd();
  return `${open}${open.endsWith('{') ? '' : ','}"id":${JSON.stringify(id)}}`;
}
