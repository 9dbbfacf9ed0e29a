import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { idSchema, readJsonl, writeJsonl } from '../../files/index.ts';
import { DataError, isThere, type Progress, refuseOverwriting, SILENT, systemFault } from '../../system/index.ts';
import type { Triple } from '../beir/records.ts';

/** The eight files of the Echo data with their published spellings. The first spelling is used in ids. */
export const ECHO_FILES: readonly (readonly string[])[] = [
  ['eli5_question_answer'],
  ['fever'],
  ['hotpot_qa'],
  ['msmarco_document'],
  ['msmarco_passage', 'msmaroc_passage'],
  ['nq'],
  ['squad'],
  ['trivia_qa'],
];

const ENDINGS = ['.jsonl', '.jsonl.gz'];

/** A passage, or a list of passages, of which the first is used (training uses one per query). */
const passageSchema = z.union([z.string(), z.tuple([z.string()], z.string()).transform(([first]) => first)], {
  error: 'expected a string, or a list of strings',
});

/** A query, or `[instruction, query]`. The instruction is dropped because LLM-QE's prompts have their own. */
export const echoQuerySchema = z.union(
  [
    z.string(),
    z.tuple([z.string()]).transform(([query]) => query),
    z.tuple([z.string(), z.string()]).transform(([, query]) => query),
  ],
  { error: 'expected a string, or [instruction, query]' },
);

/** A row of the Echo data. */
export const echoRowSchema = z.object({
  query: echoQuerySchema,
  positive: passageSchema,
  negative: passageSchema,
});

/** A training triple as {@link mergeEcho} writes it. */
export const tripleSchema = z.object({
  id: idSchema,
  query: z.string(),
  positive: z.string(),
  negative: z.string(),
}) satisfies z.ZodType<Triple>;

export interface MergeSummary {
  rows: number;
  /** Number of rows in each file, by the file's name without its extension. */
  files: Record<string, number>;
  /** Number of rows in which query, positive or negative is blank. They are kept. */
  blank: number;
}

/**
 * Merges the eight Echo files of a folder (each `.jsonl` or `.jsonl.gz`) into one file of triples, in the order of {@link
 * ECHO_FILES}, as a stream. The id of a row is `<file>-<line>`.
 *
 * @throws DataError that names every missing file, or the file, line and reason of a broken row
 */
export async function mergeEcho(
  folder: string,
  output: string,
  options: { signal?: AbortSignal | undefined; progress?: Progress | undefined } = {},
): Promise<MergeSummary> {
  const sources = await findEchoFiles(folder);
  const inputs = Object.fromEntries(sources.map(({ file }) => [basename(file), file]));
  await refuseOverwriting({ inputs, outputs: { 'the merged file': output } });
  const summary: MergeSummary = { rows: 0, files: {}, blank: 0 };
  const task = (options.progress ?? SILENT).task('merging', undefined, 'rows');
  async function* triples(): AsyncGenerator<Triple> {
    for (const { name, file } of sources) {
      summary.files[name] = 0;
      task.note(name);
      for await (const { value, line } of readJsonl(file, echoRowSchema, options.signal)) {
        const { query, positive, negative } = value;
        if ([query, positive, negative].some((text) => text.trim() === '')) summary.blank++;
        summary.files[name]!++;
        task.advance();
        yield { id: `${name}-${line}`, query, positive, negative };
      }
      if (summary.files[name] === 0) {
        throw new DataError('the file holds no row', { file, fix: 'Download it again.' });
      }
    }
  }
  try {
    summary.rows = await writeJsonl(output, triples());
  } finally {
    task.done();
  }
  return summary;
}

async function findEchoFiles(folder: string): Promise<{ name: string; file: string }[]> {
  const found: { name: string; file: string }[] = [];
  const missing: string[] = [];
  await readdir(folder).catch((error: unknown) => {
    throw systemFault(error, folder);
  });
  for (const spellings of ECHO_FILES) {
    const candidates = spellings.flatMap((spelling) => ENDINGS.map((ending) => join(folder, spelling + ending)));
    const existing = await filterExisting(candidates);
    if (existing.length > 1) {
      throw new DataError(`the folder holds the same data twice, as ${existing.join(' and ')}`, {
        file: folder,
        fix: 'Remove one of the two.',
      });
    }
    const [file] = existing;
    if (file === undefined) missing.push(spellings.join(' or '));
    else found.push({ name: spellings[0]!, file });
  }
  if (missing.length === 0) return found;
  throw new DataError(`${missing.length} of the ${ECHO_FILES.length} Echo files are missing: ${missing.join(', ')}`, {
    file: folder,
    fix: 'Put them into this folder as NAME.jsonl or NAME.jsonl.gz.',
  });
}

async function filterExisting(files: string[]): Promise<string[]> {
  const existing: string[] = [];
  for (const file of files) {
    if (await isThere(file)) existing.push(file);
  }
  return existing;
}
