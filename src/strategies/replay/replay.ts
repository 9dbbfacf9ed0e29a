import { basename, dirname, join, resolve } from 'node:path';
import { type BeirDataset, type Expansion, expansionSchema } from '../../data/index.ts';
import {
  agreeOnSettings,
  duplicateId,
  IdSet,
  newStageManifest,
  OtherSettingsError,
  RowFile,
  writeStageManifest,
} from '../../files/index.ts';
import { type Combination, DEFAULT_COMBINATION } from '../../retrieve/index.ts';
import {
  contentKey,
  counted,
  DataError,
  type Progress,
  SILENT,
  sha256,
  sha256File,
  throwIfAborted,
} from '../../system/index.ts';
import type { ForeignTexts, ReplayFormat } from './foreign-text.ts';
import { guessFormat, readForeignTexts } from './formats.ts';
import { numberOf, QueryIds } from './query-ids.ts';
import { RepeatRule, stripQuery } from './query-repeats.ts';
import type { FieldNames } from './read-json-lines.ts';

/** Increase it when the same file would give other records. */
const REPLAY_FORMAT = 1;

export interface ReplayOptions {
  dataset: BeirDataset;
  /** The queries that need expansions; others in the file are counted. */
  queries: readonly { id: string; text: string }[];
  /** The file of another program. */
  from: string;
  /** Default: guessed from the first line. */
  format?: ReplayFormat | undefined;
  /** For JSONL: names of the fields with id and text. */
  fields?: FieldNames | undefined;
  /** Who wrote the texts. Default: the name of the file. */
  writer?: string | undefined;
  out: string;
  /** Whether to replace a file that was made of other texts; otherwise that is an error. Default false. */
  force?: boolean | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

export interface ReplayResult {
  files: { expansions: string; queries: string; manifest: string };
  format: ReplayFormat;
  /** Whether the format was guessed. */
  isGuessed: boolean;
  writer: string;
  queries: number;
  expansions: number;
  /** Queries for which the file holds no text: they are searched as they are. */
  missing: number;
  /** Ids of the first of them. */
  missingIds: string[];
  /** Queries of the file that are not among those that need expansions. */
  others: number;
  combination: Combination;
  /** Whether one rule explains how often the query stands before the texts. */
  isRuleKnown: boolean;
}

const SHOWN_IDS = 5;

/**
 * Makes `expansions.jsonl` of texts that another program wrote. A query that stands before its text is cut off, and its number of
 * repeats is kept: in the records, and as the combination of the file, if one rule explains them all. The file is read twice, as a
 * stream; the result appears when it is complete.
 *
 * @throws DataError that names file, line and id for a broken record, a query that occurs twice, or a file without any of the queries;
 * OtherSettingsError if the output was made of other texts
 */
export async function replayExpansions(options: ReplayOptions): Promise<ReplayResult> {
  const { dataset, from, fields = {}, signal, progress = SILENT } = options;
  const format = options.format ?? (await guessFormat(from));
  const known = await dataset.queries({ signal });
  const wanted = new Map(options.queries.map(({ id, text }) => [id, text]));
  const ids = new QueryIds(known.keys());
  const read = () => readForeignTexts({ file: from, format, fields, ids }, signal);
  const survey = await surveyTexts(read(), wanted, options);
  const combination = { ...DEFAULT_COMBINATION, ...(survey.repeats !== 0 && { queryRepeats: survey.repeats }) };
  const files = filesOf(options.out);
  const writer = options.writer ?? writerOf(from);
  const manifest = newStageManifest({
    stage: 'expansions',
    settings: {
      format: REPLAY_FORMAT,
      from: { sha256: await sha256File(from), format, fields, writer },
      queries: queriesKey(wanted),
    },
    about: { generator: writer, from: basename(from), queriesFile: basename(files.queries), combination },
  });
  await agree(files.expansions, manifest, options.force ?? false);
  const task = progress.task('reading texts', wanted.size, 'queries');
  const expansions = await write(read(), {
    wanted,
    files,
    repeats: survey.repeats,
    signal,
    onQuery: () => task.advance(),
  });
  await writeStageManifest(files.expansions, { ...manifest, result: { expansions, missing: survey.missing.length } });
  task.done();
  return {
    files: { ...files, manifest: `${files.expansions.replace(/\.jsonl$/, '')}.manifest.json` },
    ...{ format, isGuessed: options.format === undefined, writer, queries: wanted.size, expansions },
    ...{ missing: survey.missing.length, missingIds: survey.missing.slice(0, SHOWN_IDS), others: survey.others },
    ...{ combination, isRuleKnown: survey.isKnown },
  };
}

/** `trec-dl-2019.mugi.gpt-4.1.queries.tsv` was written by `trec-dl-2019.mugi.gpt-4.1`. */
function writerOf(file: string): string {
  return basename(file).replace(/(\.queries)?\.(tsv|jsonl|txt|topics)(\.gz)?$/i, '');
}

function queriesKey(wanted: ReadonlyMap<string, string>): string {
  return sha256(JSON.stringify([...wanted]));
}

function filesOf(out: string) {
  const expansions = resolve(out);
  return { expansions, queries: join(dirname(expansions), 'queries_replay.jsonl') };
}

async function agree(file: string, manifest: ReturnType<typeof newStageManifest>, force: boolean): Promise<void> {
  const fix = 'Choose another output (--out), or replace it with --force.';
  try {
    await agreeOnSettings(file, manifest, { fix });
  } catch (error) {
    if (!force || !(error instanceof OtherSettingsError || error instanceof DataError)) throw error;
  }
}

/** Counts what a file holds, and finds the rule of its repeats. */
async function surveyTexts(
  texts: AsyncIterable<ForeignTexts>,
  wanted: ReadonlyMap<string, string>,
  { from, dataset, signal }: ReplayOptions,
) {
  const seen = new IdSet();
  const rule = new RepeatRule();
  const left = new Set(wanted.keys());
  const numbers = new LostZeros(wanted.keys());
  let others = 0;
  for await (const { id, line, texts: written } of texts) {
    throwIfAborted(signal);
    if (!seen.add(id)) throw duplicateId(from, line, id, 'query');
    const query = wanted.get(id);
    left.delete(id);
    if (query === undefined) {
      others++;
      numbers.note(id, line);
    } else for (const text of written) rule.add(text, query);
  }
  numbers.refuse(left, from);
  if (left.size === wanted.size) {
    throw new DataError(`holds none of the ${counted(wanted.size, 'query')} of ${dataset.name}`, {
      file: from,
      fix: 'Pass the data set and the split (--split) for which the texts were written.',
    });
  }
  const { repeats, isKnown } = rule.find();
  return { repeats, isKnown, missing: [...left], others };
}

/** Finds queries whose ids another program took for numbers: `0042` became `42` or `42.0`. */
class LostZeros {
  /** Number → id of the data set. */
  readonly #ids = new Map<string, string>();
  /** Id of the data set → how the file has it. */
  readonly #found = new Map<string, { id: string; line: number }>();

  constructor(wanted: Iterable<string>) {
    for (const id of wanted) {
      const number = numberOf(id);
      if (number !== undefined) this.#ids.set(number, id);
    }
  }

  /** @param id of the file, which the data set lacks */
  note(id: string, line: number): void {
    const meant = this.#ids.get(numberOf(id) ?? '');
    if (meant !== undefined && !this.#found.has(meant)) this.#found.set(meant, { id, line });
  }

  /** @throws DataError for a query that the file has only as another number */
  refuse(missing: ReadonlySet<string>, file: string): void {
    for (const [meant, { id, line }] of this.#found) {
      if (!missing.has(meant)) continue;
      throw new DataError(`the data set has no such query, but ${meant}: a program read the ids as numbers`, {
        ...{ file, line, id },
        fix: 'Write the ids as the data set has them (with pandas: read them with dtype=str).',
      });
    }
  }
}

interface WriteOptions {
  wanted: ReadonlyMap<string, string>;
  files: { expansions: string; queries: string };
  repeats: Combination['queryRepeats'];
  signal: AbortSignal | undefined;
  onQuery(): void;
}

/** Writes both files. Queries without a text come last. @returns the number of expansions */
async function write(
  texts: AsyncIterable<ForeignTexts>,
  { wanted, files, repeats, signal, onQuery }: WriteOptions,
): Promise<number> {
  const outputs = [await RowFile.create(files.expansions), await RowFile.create(files.queries)] as const;
  const left = new Set(wanted.keys());
  const add = async (id: string, written: readonly string[]) => {
    const query = wanted.get(id)!;
    const records = written.map((text, sample) => recordOf({ id, text: query }, sample, text, repeats));
    for (const record of records) await outputs[0].write(JSON.stringify(expansionSchema.parse(record)));
    const kept = records.map(({ text }) => text).filter((text) => text !== '');
    await outputs[1].write(JSON.stringify({ _id: id, text: kept.length === 0 ? query : [query, ...kept] }));
    left.delete(id);
    onQuery();
  };
  try {
    for await (const { id, texts: written } of texts) {
      throwIfAborted(signal);
      if (wanted.has(id)) await add(id, written.length === 0 ? [''] : written);
    }
    for (const id of left) await add(id, ['']);
    for (const output of outputs) await output.commit();
  } catch (error) {
    for (const output of outputs) await output.discard();
    throw error;
  }
  return outputs[0].rows;
}

function recordOf(
  query: { id: string; text: string },
  sample: number,
  written: string,
  rule: Combination['queryRepeats'],
): Expansion {
  // A query without an expansion stands alone in BEIR's layout.
  if (written.trim() === query.text.trim()) return recordOf(query, sample, '', rule);
  // A text that begins with the query by itself keeps it.
  const stripped = stripQuery(written, query.text, typeof rule === 'number' ? rule : undefined);
  return {
    ...{ query: query.id, sample, text: stripped.text, queryRepeats: stripped.repeats },
    ...{ finish: 'stop', promptTokens: 0, completionTokens: 0, milliseconds: 0 },
    key: contentKey({ format: REPLAY_FORMAT, query: query.text, text: written }),
  };
}
