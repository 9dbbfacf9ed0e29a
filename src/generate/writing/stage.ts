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
  DataError,
  deriveSeed,
  isAbort,
  isThere,
  type Progress,
  SILENT,
} from '../../system/index.ts';
import type { GenerationRequest, Generator } from '../generator.ts';
import { completeGroups, type GroupOptions, type RequestGroup } from './groups.ts';
import { KeptTexts } from './kept-texts.ts';
import { type QuerySet, type QuerySource, type StageQuery, surveyQueries } from './query-set.ts';
import type { RecordLayout, StageOutput } from './stage-output.ts';
import { type Speed, Throughput } from './throughput.ts';
import { TEXT_OF_BLANK, type WrittenText } from './written-text.ts';

/**
 * Number of the way in which texts are written and read; it is part of every key of a text. Raise it when the same request gives
 * another text or another record: a change of the prompts' rendering, the sampler, llama.cpp, or what is cut off a text. 1 was version 0.1.0,
 * whose keys lacked context, threads and device.
 */
export const WRITERS_FORMAT = 2;

/** Work that an LLM does for each of many queries, as records of one file. */
export interface Stage<Q extends StageQuery, T> extends Omit<RecordLayout<T>, 'onFound'> {
  /** Names the work in the manifest. */
  name: string;
  /** All that decides the records besides generator and queries. */
  settings: Record<string, unknown>;
  /** Names of settings that may differ from those of the file that stands there: the texts that still fit are used again. */
  mayChange?: readonly string[];
  /** Facts for the manifest, which decide nothing. */
  about?: Record<string, unknown>;
  /** What of a query the work depends on, as plain JSON. @throws DataError where something is missing */
  identityOf(query: Q): unknown;
  requestsFor(query: Q): GenerationRequest[];
  again?: GroupOptions<Q>['again'];
  recordsOf(query: Q, texts: readonly KeyedText[]): T[];
  /** Counts the records of one query, found or made. */
  tally(records: readonly T[]): void;
  /** What is to be said of all records at the end. */
  remark?(): string | undefined;
  /** @param isWhole whether file and companions were finished before, with the same settings */
  openOutput(file: string, layout: RecordLayout<T>, isWhole: boolean): Promise<StageOutput<Q, T>>;
  /** Whether the file stands under its name while it grows. */
  grows: boolean;
  /** Files that must be there beside the file of records, for the work to be finished. */
  companions?: readonly string[];
}

/** A text and the key of all that decides it. */
export interface KeyedText extends WrittenText {
  key: string;
}

/** What a stage works with, and where it leaves its work. */
export interface StageOptions {
  generator: Generator;
  /**
   * The file of records. Its manifest stands beside it, and `<out>.journal` with the texts that were written for it.
   */
  out: string;
  /** Whether a file that was made with other settings is replaced; without it that is an error. Default false. */
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
  /** Texts that were there before this run. */
  reusedTexts: number;
}

/** Texts under way at once, and queries at least; see {@link GroupOptions.ahead}. */
const TEXTS_AHEAD = 512;
const QUERIES_AHEAD = 64;
/** So many times the queries under way can be in memory: finished, while one before them is slow. */
const HELD = 16;

/**
 * Runs a stage: the one engine of expansions, candidates and answers. Queries are read one by one, each text is kept in a journal as soon as it is
 * there, and the records of a query are written together, in the order of the queries. A run that was cut off goes on with the texts that
 * are missing. Neither queries, nor wanted texts, nor records gather in memory.
 *
 * @throws DataError for a query that comes twice, or a file that nobody knows the making of; OtherSettingsError when the file was begun
 *   with other settings, saying which; and what the generator throws
 */
export async function runStage<Q extends StageQuery, T>(
  stage: Stage<Q, T>,
  source: QuerySource<Q>,
  options: StageOptions,
): Promise<StageOutcome> {
  const file = resolve(options.out);
  const queries = await surveyQueries(source, (query) => stage.identityOf(query), options.signal);
  const kept = await KeptTexts.open(file, { force: options.force });
  let output: StageOutput<Q, T> | undefined;
  try {
    const { manifest, isWhole } = await agree(stage, file, queries, options);
    output = await stage.openOutput(file, { ...stage, onFound: (records) => stage.tally(records) }, isWhole);
    if (stage.grows && !isWhole) await writeStageManifest(file, manifest);
    const run = new StageRun(stage, options, { output, kept, total: queries.count });
    const speed = await run.finish(source);
    // Were it killed in between, the next run would find work that is not finished, and finish it.
    if (!isWhole && !stage.grows) await writeStageManifest(file, manifest);
    await output.commit();
    if (!isWhole) await writeStageManifest(file, { ...manifest, result: { queries: queries.count } });
    if (stage.grows) await kept.remove();
    const { found: reused } = output;
    return { file, manifest: manifestFileOf(file), queries: queries.count, reused, reusedTexts: run.reused, ...speed };
  } finally {
    await output?.close();
    await kept.close();
  }
}

/** The manifest to go on with, and whether all that it tells of is there. @throws OtherSettingsError, DataError */
async function agree<Q extends StageQuery, T>(
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
    return { manifest, isWhole: found?.result !== undefined && there.every(Boolean) };
  } catch (error) {
    if (!force || !(error instanceof OtherSettingsError || error instanceof DataError)) throw error;
    // What appears whole replaces the old one then, and not before.
    if (grows) await rm(file, { force: true });
    return { manifest: newStageManifest(wanted), isWhole: false };
  }
}

const OTHERWISE = 'Name another output (--out), give the settings it was begun with, or replace it with --force.';

/** The request to be made again for an empty text, with another seed; once. */
export function askOnceMore(request: GenerationRequest, text: WrittenText): GenerationRequest | undefined {
  if (text.text !== '' || text.attempts > 1 || text.emptyBecause === 'promptTooLong') return undefined;
  return { ...request, seed: deriveSeed(request.seed, 'again') };
}

/** Key of all that decides the text of a request. */
export function textKey(generator: Generator, { messages, sampling, seed }: GenerationRequest): string {
  const { fingerprint, contextSize: context } = generator;
  return contentKey({ format: WRITERS_FORMAT, generator: fingerprint, context, messages, sampling, seed });
}

/** A query on its way, with the keys of its texts. */
interface KeyedQuery<Q> {
  query: Q;
  keys: string[];
}

/** Does what is missing of a stage. */
class StageRun<Q extends StageQuery, T> {
  readonly #stage: Stage<Q, T>;
  readonly #options: StageOptions;
  readonly #output: StageOutput<Q, T>;
  readonly #kept: KeptTexts;
  /** Queries in all. */
  readonly #total: number;
  readonly #throughput: Throughput;
  /** Texts that were there before. */
  reused = 0;
  #written = 0;

  constructor(
    stage: Stage<Q, T>,
    options: StageOptions,
    { output, kept, total }: { output: StageOutput<Q, T>; kept: KeptTexts; total: number },
  ) {
    [this.#stage, this.#options, this.#output, this.#kept, this.#total] = [stage, options, output, kept, total];
    const { name, unit, recordsPerQuery } = stage;
    this.#throughput = new Throughput(options.progress ?? SILENT, `writing ${name}`, total * recordsPerQuery, unit);
  }

  async finish(source: QuerySource<Q>): Promise<Speed> {
    const { found } = this.#output;
    const { recordsPerQuery, remark } = this.#stage;
    this.#skip(found * recordsPerQuery);
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
    const ahead = Math.max(QUERIES_AHEAD, Math.ceil(TEXTS_AHEAD / this.#stage.recordsPerQuery));
    const { generator, signal } = this.#options;
    return completeGroups<KeyedQuery<Q>>(generator, this.#missing(source), {
      ...{ ahead, held: HELD * ahead, again: this.#stage.again, signal },
      onText: (generation) => this.#throughput.add(generation),
      keep: async ({ query, keys }, place, text) => {
        await this.#kept.keep(query.id, keys[place]!, text);
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
      this.#skip(known.size);
      yield { item: { query, keys }, requests, known };
    }
  }

  #skip(texts: number): void {
    this.reused += texts;
    this.#throughput.skip(texts);
  }

  #stopped(done: number): AbortedError {
    const { unit, recordsPerQuery } = this.#stage;
    const others = Math.max(0, this.reused + this.#written - done * recordsPerQuery);
    const more = others === 0 ? '' : `, and ${others} ${unit} of others`;
    return new AbortedError(`stopped with ${done} of ${this.#total} queries finished${more}`);
  }
}
