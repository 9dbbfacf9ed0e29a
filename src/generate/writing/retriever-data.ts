import { rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  ExpansionFile,
  queryTextOf,
  type RetrieverRow,
  type RetrieverSource,
  type RowCounts,
  retrieverRowSchema,
} from '../../data/index.ts';
import { agreeOnSettings, manifestFileOf, writeStageManifest } from '../../files/index.ts';
import {
  DataError,
  DEFAULT_SEED,
  deriveSeed,
  type Progress,
  SILENT,
  sha256File,
  throwIfAborted,
  UsageError,
} from '../../system/index.ts';
import type { GenerationRequest, Sampling } from '../generator.ts';
import { PROMPTS, type PromptTemplate } from '../prompts.ts';
import { checkSampling } from '../sampling.ts';
import { type StageQuery, surveyQueries } from './query-set.ts';
import { DevQueries, openSplitOutput, refuseOtherDevFile, type SplitFiles, type SplitOutput } from './split-output.ts';
import { askOnceMore, type KeyedText, OTHERWISE, runStage, type Stage, type StageOptions } from './stage.ts';
import { openGrowingOutput, type RecordLayout } from './stage-output.ts';
import { countText, noTexts, type TextCounts } from './text-counts.ts';
import { passageOf } from './written-text.ts';

/** Published share of the rows for development (method, stage 9). */
export const DEV_SHARE = 0.1;

interface SplitOptions {
  source: RetrieverSource;
  /** File of the training rows: `retriever.jsonl`. The development rows are next to it, in `retriever-dev.jsonl`. */
  out: string;
  /** Share of the queries for development; 0 writes no second file. Default {@link DEV_SHARE}. */
  devShare?: number | undefined;
  /** Seed of that choice. Default 42. */
  devSeed?: number | undefined;
}

export interface WriteRetrieverDataOptions extends StageOptions, SplitOptions {
  /** Default: the published q2d. */
  prompt?: PromptTemplate | undefined;
  /** Default: temperature 1, topP 0.9, topK 0, maxTokens 512. */
  sampling?: Partial<Sampling> | undefined;
  /** Expansions per query. Default 1. */
  samples?: number | undefined;
  /** The seed of every expansion is derived from this one, the row's id and the number of the sample. Default 42. */
  seed?: number | undefined;
}

export interface JoinRetrieverDataOptions extends SplitOptions {
  /** A file of expansions, by the id of the row. Without it, rows keep their own. */
  expansions?: string | undefined;
  force?: boolean | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

export interface RetrieverDataResult {
  file: string;
  /** Missing if the share of development rows is 0. */
  devFile: string | undefined;
  manifest: string;
  /** Rows in each file. */
  rows: { train: number; dev: number };
  /** Rows that existed before this run. */
  reused: number;
  expansions: number;
  /** Rows without a single expansion; trainers that need one leave them out. */
  withoutExpansions: number;
  source: RowCounts;
}

export type WrittenRetrieverDataResult = RetrieverDataResult & {
  /** Texts of this run. */
  texts: TextCounts;
  tokens: number;
  seconds: number;
  tokensPerSecond: number;
};

/** A row on its way through the engine. */
interface RowQuery extends StageQuery {
  row: RetrieverRow;
}

/**
 * Lets an LLM expand the query of each training row, and writes the rows in two files, for training and development, which grow row by
 * row. Interrupted work resumes after the last row. An empty text is requested once more with another seed, then left out.
 *
 * @throws OtherSettingsError if the files were begun with other settings or rows, naming them; UsageError for invalid settings;
 * DataError; and what the generator throws
 */
export async function writeRetrieverData(options: WriteRetrieverDataOptions): Promise<WrittenRetrieverDataResult> {
  const { generator, prompt = PROMPTS.q2d, samples = 1, seed = DEFAULT_SEED } = options;
  const sampling = checkSampling({ ...options.sampling });
  checkPrompt(prompt, samples);
  const target = new SplitTarget(options);
  await target.refuseOthers(options.force);
  const texts = noTexts();
  let tokens = 0;
  const stage: Stage<RowQuery, RetrieverRow> = {
    ...target.stage,
    settings: {
      ...{ prompt: { name: prompt.name, text: prompt.text }, ...sampling, seed, samples },
      ...target.settings,
    },
    textsPerQuery: samples,
    requestsFor: ({ id, text }): GenerationRequest[] => {
      const messages = prompt.messages({ id, query: text });
      return Array.from({ length: samples }, (_none, sample) => {
        return { id: `${id}/${sample}`, messages, sampling, seed: deriveSeed(seed, id, sample) };
      });
    },
    again: askOnceMore,
    recordsOf: ({ row }, written) => {
      for (const { finish, completionTokens, emptyBecause } of written) {
        countText(texts, generator, { finish, tokens: completionTokens, emptyBecause }, sampling.maxTokens);
        tokens += completionTokens;
      }
      return [expandedRow(row, written)];
    },
    tally: ([row]) => target.count(row!),
  };
  const { reused, seconds, tokensPerSecond } = await runStage(stage, () => target.queries(), options);
  return { ...target.result(reused), texts, tokens, seconds, tokensPerSecond };
}

/**
 * Joins training rows with expansions that exist already, or keeps the rows' own, and writes them as {@link writeRetrieverData} does.
 * Thoughts and boilerplate openings of the texts are cut.
 *
 * @throws OtherSettingsError if the files were begun with other settings or rows, naming them; DataError if no expansion in the file
 * belongs to a row
 */
export async function joinRetrieverData(options: JoinRetrieverDataOptions): Promise<RetrieverDataResult> {
  const { expansions: file, signal, progress = SILENT } = options;
  const target = new SplitTarget(options);
  if (options.force === true) await target.remove();
  await target.refuseOthers(options.force);
  const queries = await surveyQueries(() => target.queries(), target.stage.identityOf, signal);
  const expansions = file === undefined ? 'of the rows' : await sha256File(file, signal);
  const wanted = {
    stage: target.stage.name,
    settings: { format: JOIN_FORMAT, expansions, ...target.settings, queries },
    about: target.stage.about,
  };
  const { manifest } = await agreeOnSettings(target.files.train, wanted, { fix: OTHERWISE });
  const given = file === undefined ? undefined : await ExpansionFile.open(file, signal);
  const output = await target.openOutput({ ...target.stage, onFound: ([row]) => target.count(row!) });
  const task = progress.task('writing rows', queries.count, 'rows');
  try {
    await writeStageManifest(target.files.train, manifest);
    task.skip(output.found);
    for await (const query of target.queries()) {
      if (output.has(query.id)) continue;
      throwIfAborted(signal);
      const texts = given === undefined ? query.row.expansions : await given.textsOf(query.id, query.text);
      const row = { ...query.row, expansions: texts.map(passageOf).filter((text) => text !== '') };
      await output.append(query, [row]);
      target.count(row);
      task.advance();
    }
    if (file !== undefined && target.expansions === 0) {
      await output.close();
      await target.remove();
      throw noExpansions(file);
    }
    await output.commit();
    await writeStageManifest(target.files.train, { ...manifest, result: target.facts() });
    return target.result(output.found);
  } finally {
    task.done();
    await output.close();
    await given?.close();
  }
}

/** Raise it if the same rows and expansions would give other files. */
const JOIN_FORMAT = 1;

/** The two files of rows, and what is counted of them. */
class SplitTarget {
  readonly #source: RetrieverSource;
  readonly #devShare: number;
  readonly #devSeed: number;
  readonly #dev: DevQueries;
  readonly files: SplitFiles;
  #output: SplitOutput<RowQuery, RetrieverRow> | undefined;
  #rows = 0;
  #withoutExpansions = 0;
  expansions = 0;

  constructor({ source, out, devShare = DEV_SHARE, devSeed = DEFAULT_SEED }: SplitOptions) {
    if (!(devShare >= 0 && devShare < 1)) {
      throw new UsageError(`${devShare} is not a share of the rows`, { fix: 'Use a number from 0 to below 1.' });
    }
    [this.#source, this.#devShare, this.#devSeed] = [source, devShare, devSeed];
    this.#dev = new DevQueries(devShare, devSeed);
    const train = resolve(out);
    this.files = { train, dev: join(dirname(train), `${basename(train).replace(/\.jsonl$/, '')}-dev.jsonl`) };
  }

  get settings(): Record<string, unknown> {
    return { devShare: this.#devShare, devSeed: this.#devSeed };
  }

  /** What both ways of writing have in common. */
  get stage() {
    return {
      name: 'retriever rows',
      unit: 'expansions',
      about: { devFile: this.#hasDev ? basename(this.files.dev) : undefined },
      companions: this.#hasDev ? [this.files.dev] : [],
      grows: true,
      schema: retrieverRowSchema,
      idOf: ({ id }: RetrieverRow) => id,
      recordsPerQuery: 1,
      identityOf: ({ row }: RowQuery): unknown => {
        this.#dev.survey(queryTextOf(row));
        return row;
      },
      openOutput: (_file: string, layout: RecordLayout<RetrieverRow>) => this.openOutput(layout),
      result: () => this.facts(),
    };
  }

  async *queries(): AsyncGenerator<RowQuery> {
    for await (const row of this.#source.rows()) yield { id: row.id, text: row.query, row };
  }

  async openOutput(layout: RecordLayout<RetrieverRow>) {
    if (!this.#hasDev) return openGrowingOutput<RowQuery, RetrieverRow>(this.files.train, layout);
    const isDev = ({ row }: RowQuery) => this.#dev.has(queryTextOf(row));
    this.#output = await openSplitOutput(this.files, isDev, layout);
    return this.#output;
  }

  async refuseOthers(force = false): Promise<void> {
    if (this.#hasDev) await refuseOtherDevFile(this.files, force);
  }

  async remove(): Promise<void> {
    const files = [this.files.train, manifestFileOf(this.files.train), ...(this.#hasDev ? [this.files.dev] : [])];
    for (const file of files) await rm(file, { force: true });
  }

  count({ expansions }: RetrieverRow): void {
    this.#rows++;
    this.expansions += expansions.length;
    if (expansions.length === 0) this.#withoutExpansions++;
  }

  facts() {
    return {
      rows: this.#output?.sizes ?? { train: this.#rows, dev: 0 },
      expansions: this.expansions,
      withoutExpansions: this.#withoutExpansions,
      source: this.#source.counts,
    };
  }

  result(reused: number): RetrieverDataResult {
    const { train, dev } = this.files;
    return {
      file: train,
      devFile: this.#hasDev ? dev : undefined,
      manifest: manifestFileOf(train),
      reused,
      ...this.facts(),
    };
  }

  get #hasDev(): boolean {
    return this.#devShare > 0;
  }
}

function checkPrompt(prompt: PromptTemplate, samples: number): void {
  if (prompt.needsDocument) {
    throw new UsageError(`prompt ${prompt.name} reads the gold document, which a query in search does not have`, {
      fix: 'Use q2d, q2q, q2e or q2c, or a prompt without {document}.',
    });
  }
  if (Number.isInteger(samples) && samples >= 1) return;
  throw new UsageError(`${samples} is not a number of samples`, { fix: 'Use a whole number of at least 1.' });
}

function expandedRow({ emptyBecause: _before, ...row }: RetrieverRow, texts: readonly KeyedText[]): RetrieverRow {
  const expansions = texts.map(({ text }) => text).filter((text) => text !== '');
  const emptyBecause = expansions.length > 0 ? undefined : texts[0]?.emptyBecause;
  return { ...row, expansions, ...(emptyBecause !== undefined && { emptyBecause }) };
}

function noExpansions(file: string): DataError {
  return new DataError('no expansion belongs to a row', {
    file,
    fix: 'Expansions are joined with rows by id: use those that were written for these queries.',
  });
}
