import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  agreeOnSettings,
  manifestFileOf,
  newStageManifest,
  OtherSettingsError,
  readStageManifest,
  type StageManifest,
  writeStageManifest,
} from '../../files/index.ts';
import {
  AbortedError,
  contentKey,
  counted,
  DataError,
  deriveSeed,
  isAbort,
  isThere,
  type Progress,
  SILENT,
} from '../../system/index.ts';
import type { GenerationRequest, Generator } from '../generator.ts';
import { completeGroups, type GroupOptions, type RequestGroup } from './groups.ts';
import { KeptTexts, keptTextsFileOf } from './kept-texts.ts';
import { PromptFit, type StageRecord, wasNotWritten } from './prompt-fit.ts';
import { type QuerySet, type QuerySource, type StageQuery, surveyQueries } from './query-set.ts';
import type { RecordLayout, StageOutput } from './stage-output.ts';
import { type Speed, Throughput } from './throughput.ts';
import { TEXT_OF_BLANK, type WrittenText } from './written-text.ts';

/**
 * Version of the way in which texts are written and read. It is part of every text's key. Raise it when the same request gives
 * another text or another record: after a change of the prompts' rendering, the sampler, llama.cpp, or the rules for cutting a
 * text. 1 was version 0.1.0, whose keys lacked context, threads and device.
 */
export const WRITERS_FORMAT = 2;

/** Work that an LLM does for each of many queries, written as records of one file. */
export interface Stage<Q extends StageQuery, T extends StageRecord> extends Omit<RecordLayout<T>, 'onFound'> {
  /** Names the work in the manifest. */
  name: string;
  /** Everything that decides the records except generator and queries. */
  settings: Record<string, unknown>;
  /** Names of settings that may differ from those of an existing file: texts that still match are reused. */
  mayChange?: readonly string[];
  /** Facts for the manifest that decide nothing. */
  about?: Record<string, unknown>;
  /** Returns the part of a query that the work depends on, as plain JSON. @throws DataError if something is missing */
  identityOf(query: Q): unknown;
  requestsFor(query: Q): GenerationRequest[];
  /** Number of requests per query. Default: the number of records. */
  textsPerQuery?: number;
  again?: GroupOptions<Q>['again'];
  recordsOf(query: Q, texts: readonly KeyedText[]): T[];
  /** Counts the records of one query, existing or new. */
  tally(records: readonly T[]): void;
  /** Returns a final remark about all records, if there is one. */
  remark?(): string | undefined;
  /** Returns facts of the finished file for the manifest. */
  result?(): Record<string, unknown>;
  /** @param isWhole whether the file and its companions were finished before, with the same settings */
  openOutput(file: string, layout: RecordLayout<T>, isWhole: boolean): Promise<StageOutput<Q, T>>;
  /** Whether the file has its final name while it grows. */
  grows: boolean;
  /** Files next to the file of records that must exist before the work counts as finished. */
  companions?: readonly string[];
}

/** A text and the key of everything that decides it. */
export interface KeyedText extends WrittenText {
  key: string;
}

/** The inputs and the output of a stage. */
export interface StageOptions {
  generator: Generator;
  /** The file of records. Its manifest is next to it, as is `<out>.journal` with the texts that were written for it. */
  out: string;
  /**
   * Whether the work may end without a single text because every prompt is longer than the context. Otherwise that is an error.
   * Default false.
   */
  allowNoneFits?: boolean | undefined;
  /** Whether to replace a file that was made with other settings; otherwise that is an error. Default false. */
  force?: boolean | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

export interface StageOutcome extends Speed {
  file: string;
  manifest: string;
  queries: number;
  /** Queries that were finished before this run. */
  reused: number;
  /** Texts that existed before this run. */
  reusedTexts: number;
}

/** Texts in progress at once; at least this many queries. See {@link GroupOptions.ahead}. */
const TEXTS_AHEAD = 512;
const QUERIES_AHEAD = 64;
/** Queries in memory, as a multiple of those in progress: finished ones wait while an earlier one is slow. */
const HELD = 16;

/**
 * Runs a stage: the one engine of expansions, candidates and answers. Queries are read one by one, each text goes into a journal as
 * soon as it is written, and the records of a query are written together, in the order of the queries. An interrupted run resumes
 * with the missing texts. Neither queries nor requests nor records accumulate in memory.
 *
 * @throws DataError if a query occurs twice, if the origin of an existing file is unknown, or if every prompt is longer than the
 * context; OtherSettingsError if the file was
 * begun with other settings, naming them; and what the generator throws
 */
export async function runStage<Q extends StageQuery, T extends StageRecord>(
  work: Stage<Q, T>,
  source: QuerySource<Q>,
  options: StageOptions,
): Promise<StageOutcome> {
  const file = resolve(options.out);
  const fit = new PromptFit();
  const tally = (records: readonly T[]): void => {
    fit.count(records);
    work.tally(records);
  };
  const stage: Stage<Q, T> = { ...work, tally };
  const queries = await surveyQueries(source, (query) => stage.identityOf(query), options.signal);
  const kept = await KeptTexts.open(file, { force: options.force });
  let output: StageOutput<Q, T> | undefined;
  try {
    const { manifest, isWhole } = await agree(stage, file, queries, options);
    output = await stage.openOutput(file, { ...stage, onFound: tally }, isWhole);
    if (stage.grows && !isWhole) await writeStageManifest(file, manifest);
    const run = new StageRun(stage, options, { output, kept, total: queries.count });
    const speed = await run.finish(source);
    if (!options.allowNoneFits) fit.refuseNone(stage, file, options.generator);
    // If the process is killed in between, the next run finds unfinished work and finishes it.
    if (!isWhole && !stage.grows) await writeStageManifest(file, manifest);
    await output.commit();
    const result = { queries: queries.count, ...fit.result, ...stage.result?.() };
    if (!isWhole) await writeStageManifest(file, { ...manifest, result });
    if (stage.grows) await kept.remove();
    const { found: reused } = output;
    return { file, manifest: manifestFileOf(file), queries: queries.count, reused, reusedTexts: run.reused, ...speed };
  } finally {
    await output?.close();
    await kept.close();
  }
}

/** Returns the manifest to continue with, and whether everything it describes exists. @throws OtherSettingsError, DataError */
async function agree<Q extends StageQuery, T extends StageRecord>(
  { name, settings, mayChange = [], about, companions = [], grows }: Stage<Q, T>,
  file: string,
  queries: QuerySet,
  { generator, force = false }: StageOptions,
): Promise<{ manifest: StageManifest; isWhole: boolean }> {
  const made = { format: WRITERS_FORMAT, generator: generator.fingerprint, context: generator.contextSize };
  const wanted = {
    stage: name,
    settings: { ...made, ...settings, queries },
    about: { generator: generator.id, ...about },
  };
  try {
    const { manifest, isSame } = await agreeOnSettings(file, wanted, { mayChange, fix: OTHERWISE });
    const found = isSame ? await readStageManifest(file) : undefined;
    const there = await Promise.all([file, ...companions].map(isThere));
    const isFinished = found?.result !== undefined && there.every(Boolean);
    // A server's context and its content filter are not among the settings, so what was not written is requested again.
    const mayBeWrittenNow =
      !grows &&
      generator.contextSize === undefined &&
      [found?.result?.promptTooLong, found?.result?.contentFilter].some(Boolean);
    return { manifest, isWhole: isFinished && !mayBeWrittenNow };
  } catch (error) {
    if (!force || !(error instanceof OtherSettingsError || error instanceof DataError)) throw error;
    // A file that appears only when complete replaces the old one at that moment, not before.
    if (grows) for (const path of [file, ...companions]) await rm(path, { force: true });
    return { manifest: newStageManifest(wanted), isWhole: false };
  }
}

/** The fix for a file that was begun with other settings. */
export const OTHERWISE =
  'Choose another output (--out), use the settings it was begun with, or replace it with --force.';

/** Returns the request that is made once more for an empty text, with another seed. */
export function askOnceMore(request: GenerationRequest, text: WrittenText): GenerationRequest | undefined {
  if (text.text !== '' || text.attempts > 1 || text.emptyBecause === 'promptTooLong') return undefined;
  // A content filter that refuses a prompt does so with any seed; a text that it withholds has cost tokens.
  if (text.emptyBecause === 'contentFilter' && text.completionTokens === 0) return undefined;
  return { ...request, seed: deriveSeed(request.seed, 'again') };
}

/** Returns the key of everything that decides the text of a request. */
export function textKey(generator: Generator, { messages, sampling, seed }: GenerationRequest): string {
  const { fingerprint, contextSize: context } = generator;
  return contentKey({ format: WRITERS_FORMAT, generator: fingerprint, context, messages, sampling, seed });
}

/** A query in progress, with the keys of its texts. */
interface KeyedQuery<Q> {
  query: Q;
  keys: string[];
}

/** Does the missing work of a stage. */
class StageRun<Q extends StageQuery, T extends StageRecord> {
  readonly #stage: Stage<Q, T>;
  readonly #options: StageOptions;
  readonly #output: StageOutput<Q, T>;
  readonly #kept: KeptTexts;
  /** Number of all queries. */
  readonly #total: number;
  readonly #throughput: Throughput;
  #othersAreTold = false;
  /** Texts that existed before. */
  reused = 0;
  #written = 0;

  constructor(
    stage: Stage<Q, T>,
    options: StageOptions,
    { output, kept, total }: { output: StageOutput<Q, T>; kept: KeptTexts; total: number },
  ) {
    [this.#stage, this.#options, this.#output, this.#kept, this.#total] = [stage, options, output, kept, total];
    const texts = total * this.#textsPerQuery;
    this.#throughput = new Throughput(options.progress ?? SILENT, `writing ${stage.name}`, texts, stage.unit);
  }

  get #textsPerQuery(): number {
    return this.#stage.textsPerQuery ?? this.#stage.recordsPerQuery;
  }

  async finish(source: QuerySource<Q>): Promise<Speed> {
    const { found } = this.#output;
    const { remark } = this.#stage;
    this.#skip(found * this.#textsPerQuery);
    this.#throughput.start();
    let done = found;
    try {
      if (done < this.#total) {
        for await (const { item, texts } of this.#groups(source)) {
          const keyed = texts.map((text, place) => ({ ...text, key: item.keys[place]! }));
          const records = this.#stage.recordsOf(item.query, keyed);
          await this.#output.append(item.query, records);
          this.#stage.tally(records);
          done++;
        }
      }
      this.#throughput.done(remark?.call(this.#stage));
      return this.#throughput.speed;
    } catch (error) {
      this.#throughput.done('stopped');
      throw isAbort(error) ? this.#stopped(done) : error;
    }
  }

  #groups(source: QuerySource<Q>) {
    const { generator, signal } = this.#options;
    const texts = Math.max(TEXTS_AHEAD, generator.ahead ?? 0);
    const ahead = Math.max(QUERIES_AHEAD, Math.ceil(texts / this.#textsPerQuery));
    return completeGroups<KeyedQuery<Q>>(generator, this.#missing(source), {
      ...{ ahead, held: HELD * ahead, again: this.#stage.again, signal },
      onText: (generation) => this.#throughput.add(generation),
      keep: async ({ query, keys }, place, text) => {
        if (!wasNotWritten(text)) await this.#kept.keep(query.id, keys[place]!, text);
        this.#written++;
        this.#throughput.advance(1);
      },
    });
  }

  async *#missing(source: QuerySource<Q>): AsyncGenerator<RequestGroup<KeyedQuery<Q>>> {
    for await (const query of source()) {
      if (this.#output.has(query.id)) continue;
      const requests = this.#stage.requestsFor(query);
      const keys = requests.map((request) => textKey(this.#options.generator, request));
      if (query.text.trim() === '') {
        this.#throughput.skip(requests.length);
        yield { item: { query, keys }, requests, known: new Map(keys.map((_key, place) => [place, TEXT_OF_BLANK])) };
        continue;
      }
      const known = await this.#kept.find(query.id, keys);
      this.#tellOfOthers();
      this.#skip(known.size);
      yield { item: { query, keys }, requests, known };
    }
  }

  /** An unfinished run with other settings left texts that do not count here: said once, and before they are written anew. */
  #tellOfOthers(): void {
    if (!this.#kept.hasOthers || this.#othersAreTold || this.reused > 0 || this.#options.force) return;
    this.#othersAreTold = true;
    this.#options.progress?.warn?.(
      `an unfinished run left texts by another generator or with other settings (such as prompt, seed, or one thread instead of several): they stay in ${keptTextsFileOf(this.#options.out)}, and the run goes on with them if the same command as before is given`,
    );
  }

  #skip(texts: number): void {
    this.reused += texts;
    this.#throughput.skip(texts);
  }

  #stopped(done: number): AbortedError {
    const { unit } = this.#stage;
    const others = Math.max(0, this.reused + this.#written - done * this.#textsPerQuery);
    const more = others === 0 ? '' : `, and ${counted(others, unit.slice(0, -1))} of other queries`;
    return new AbortedError(`stopped with ${done} of ${counted(this.#total, 'query')} finished${more}`);
  }
}
