import { RequestError } from '../../serve/index.ts';
import { listEvaluations } from './list-evaluations.ts';
import { OpenEvaluation } from './open-evaluation.ts';

/** Runs of many queries are large: so many evaluations stay open. */
const MOST_OPEN = 2;

/** The evaluations that were looked at last, ready to be looked at again. */
export class EvaluationShelf {
  readonly #runs: string;
  readonly #corpora: readonly string[];
  /** By id and time of the last change; the last used is last. */
  readonly #open = new Map<string, Promise<OpenEvaluation>>();

  constructor(runs: string, corpora: readonly string[]) {
    [this.#runs, this.#corpora] = [runs, corpora];
  }

  /** Opens an evaluation by its id, which is only ever compared with those that are there. @throws RequestError, DataError */
  async open(id: string): Promise<OpenEvaluation> {
    const source = (await listEvaluations(this.#runs)).find((one) => one.id === id);
    if (source === undefined) {
      const fix = 'Choose another, or make one with `llm-qe evaluate`, `benchmark` or `align`.';
      throw new RequestError(404, `there is no evaluation ${JSON.stringify(id.slice(0, 200))}`, { fix });
    }
    const key = `${source.changedAt} ${id}`;
    const opened = this.#open.get(key) ?? OpenEvaluation.open(source, this.#corpora);
    this.#open.delete(key);
    this.#open.set(key, opened);
    opened.catch(() => this.#open.delete(key));
    for (const [oldest, evaluation] of this.#open) {
      if (this.#open.size <= MOST_OPEN) break;
      this.#open.delete(oldest);
      void evaluation.then((one) => one.close()).catch(() => {});
    }
    return opened;
  }
}
