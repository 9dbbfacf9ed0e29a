import { readRun } from '../../data/index.ts';
import { type QueryValues, REPORTED_MEASURES } from '../../evaluate/index.ts';
import { evaluateRun, type Qrels, type Run, rankHits, type ScoredDocument } from '../../measures/index.ts';
import { RequestError } from '../../serve/index.ts';
import type { ArmFiles, EvaluationFiles, EvaluationSource } from './evaluation-files.ts';
import { findJudgedSet, type JudgedSet } from './judged-set.ts';
import { readAlignment } from './read-alignment.ts';
import { readBenchmark } from './read-benchmark.ts';
import { readRunFiles } from './read-run-files.ts';

const READERS = { alignment: readAlignment, benchmark: readBenchmark, runs: readRunFiles } as const;

/** An evaluation that is being looked at. Its runs are read when they are first asked for. */
export class OpenEvaluation {
  readonly source: EvaluationSource;
  readonly files: EvaluationFiles;
  /** Undefined if the data set is not at hand. */
  readonly set: JudgedSet | undefined;
  readonly #runs = new Map<string, Promise<Run | undefined>>();

  private constructor(source: EvaluationSource, files: EvaluationFiles, set: JudgedSet | undefined) {
    [this.source, this.files, this.set] = [source, files, set];
  }

  /** @param corpora paths that the studio was started with @throws DataError */
  static async open(source: EvaluationSource, corpora: readonly string[]): Promise<OpenEvaluation> {
    const files = await READERS[source.kind](source);
    return new OpenEvaluation(source, files, await findJudgedSet(files, corpora));
  }

  /** @throws RequestError if there is none of that name */
  arm(name: string): ArmFiles {
    const found = this.files.arms.find((arm) => arm.name === name);
    if (found !== undefined) return found;
    const fix = `Choose one of ${this.files.arms.map((arm) => arm.name).join(', ')}.`;
    throw new RequestError(404, `there is no arm ${JSON.stringify(name.slice(0, 100))}`, { fix });
  }

  /** All judgements that are known; of the relevant documents alone if the data set is not at hand. */
  get qrels(): Qrels | undefined {
    return this.set?.qrels ?? this.files.relevant;
  }

  /** Names of the measures of which there are values. */
  get measures(): string[] {
    const computed = this.qrels === undefined ? [] : REPORTED_MEASURES;
    const recorded = this.files.arms.flatMap(({ values }) => [...values.keys()]);
    // Documents that are judged not relevant are needed to count those that nobody judged.
    const shown = [...new Set([...recorded, ...computed])];
    return this.set === undefined ? shown.filter((name) => !name.startsWith('Hole@')) : shown;
  }

  textOf(query: string): string {
    return this.files.texts?.get(query) ?? this.set?.texts.get(query) ?? '';
  }

  /** The run of an arm; undefined if it was not kept. @throws DataError */
  run(name: string): Promise<Run | undefined> {
    const { run: file } = this.arm(name);
    const known = this.#runs.get(name);
    if (known !== undefined) return known;
    const reading = file === undefined ? Promise.resolve(undefined) : readRun(file);
    this.#runs.set(name, reading);
    reading.catch(() => this.#runs.delete(name));
    return reading;
  }

  /** What an arm found for a query, in trec_eval's order. */
  async ranking(name: string, query: string): Promise<ScoredDocument[]> {
    return rankHits((await this.run(name))?.get(query) ?? []);
  }

  /** The queries that were evaluated, in the order of the record, or else of the runs of these arms. */
  async queries(arms: readonly string[]): Promise<string[]> {
    if (this.files.texts !== undefined) return [...this.files.texts.keys()];
    const recorded = this.arm(arms[0]!).values.values().next().value;
    if (recorded !== undefined) return [...recorded.keys()];
    const found = new Set<string>();
    for (const name of arms) for (const query of (await this.run(name))?.keys() ?? []) found.add(query);
    return [...found];
  }

  /** The value of each judged query that the arm found something for: as recorded, or else computed as `evaluate` does. */
  async values(name: string, measure: string): Promise<QueryValues | undefined> {
    const recorded = this.arm(name).values.get(measure);
    if (recorded !== undefined) return recorded;
    const [run, qrels] = [await this.run(name), this.qrels];
    if (run === undefined || qrels === undefined) return undefined;
    const { perQuery } = evaluateRun(qrels, run, { measures: [measure], complete: true });
    return new Map([...perQuery].map(([query, row]) => [query, row[measure]!]));
  }

  async close(): Promise<void> {
    await this.set?.documents.close();
  }
}
