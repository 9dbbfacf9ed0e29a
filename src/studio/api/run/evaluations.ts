import { stat } from 'node:fs/promises';
import { type Comparison, type EvaluationData, evaluationSchema, verdictOn } from '../../../evaluate/index.ts';
import { readBoundedJson } from '../../../files/index.ts';
import type { Rows, Scores, ShownTest, TextRow } from '../../shapes/runs.ts';
import { PAGE_ROWS } from './row-file.ts';

/** Ten thousand test queries with the texts of all arms are about half of this. */
const LARGEST = 256 * 2 ** 20;
/** Those of two runs that are compared. */
const MOST_KEPT = 2;

/** Evaluations that were read, kept while their files stay as they are. */
export class Evaluations {
  readonly #known = new Map<string, Promise<EvaluationData>>();

  /** @throws DataError if it is none, or too large */
  async read(path: string): Promise<EvaluationData> {
    const { size, mtimeMs, ino } = await stat(path);
    const key = `${path} ${ino} ${size} ${mtimeMs}`;
    const fix = 'Remove its folder. The stage will run again.';
    const known =
      this.#known.get(key) ??
      readBoundedJson(path, evaluationSchema, { what: 'an evaluation', fix, mostBytes: LARGEST });
    this.#known.delete(key);
    this.#known.set(key, known);
    known.catch(() => this.#known.delete(key));
    if (this.#known.size > MOST_KEPT) this.#known.delete(this.#known.keys().next().value!);
    return known;
  }
}

/** What the screen shows of an evaluation: arms and tests of each judge. */
export function scoresOf({ dataset, measure, main, judges, controls }: EvaluationData): Scores {
  const all = [
    main,
    ...judges,
    ...(controls === undefined ? [] : [{ ...controls, judge: `${controls.judge}: controls` }]),
  ];
  return {
    ...{ dataset: dataset.name, documents: dataset.documents, queries: dataset.test, measure },
    judgements: all.map(({ judge, arms, tests }) => ({
      judge,
      measures: [...new Set(arms.flatMap(({ measures }) => Object.keys(measures)))],
      arms: arms.map(({ name, description, alpha, words, measures }) => ({
        name,
        description,
        alpha,
        words,
        measures,
      })),
      tests: tests.map(shownTest),
    })),
  };
}

export function shownTest(test: Comparison): ShownTest {
  const { arm, baseline, delta, interval, randomization: p, holm, helped, hurt, unchanged } = test;
  const { kind, name, reason } = verdictOn(test);
  return { arm, baseline, delta, interval, p, holm, helped, hurt, unchanged, verdict: { kind, name, reason } };
}

/** Some of the test queries with the texts of all arms. */
export function textsOf({ queries }: EvaluationData, filter: string, from: number): Rows<TextRow> {
  const wanted = filter.toLowerCase();
  const holds = (text: string) => text.toLowerCase().includes(wanted);
  const found = queries.filter(
    ({ id, text, texts }) => wanted === '' || holds(id) || holds(text) || Object.values(texts).flat().some(holds),
  );
  const first = Math.min(from, Math.max(0, found.length - 1));
  const rows = found
    .slice(first, first + PAGE_ROWS)
    .map(({ id, text, texts, values }) => ({ id, query: text, texts, values }));
  return { total: found.length, from: first, rows, isCut: false };
}
