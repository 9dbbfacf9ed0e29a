/** A kind of problem in a data set, with the first places where it was found. */
export interface Problem {
  /** An error makes results wrong or a command fail; a warning is only worth knowing. */
  level: 'error' | 'warning';
  what: string;
  count: number;
  /** The first few places, each with file, line and id. */
  examples: string[];
}

const MAX_EXAMPLES = 5;

/** Collects problems by kind, in order of first occurrence. */
export class ProblemLog {
  readonly #problems = new Map<string, Problem>();

  add(level: Problem['level'], what: string, example?: string): void {
    let problem = this.#problems.get(what);
    if (problem === undefined) {
      problem = { level, what, count: 0, examples: [] };
      this.#problems.set(what, problem);
    }
    problem.count++;
    if (example !== undefined && problem.examples.length < MAX_EXAMPLES) problem.examples.push(example);
  }

  /** Returns the problems, errors first. */
  list(): Problem[] {
    const all = [...this.#problems.values()];
    return [...all.filter(({ level }) => level === 'error'), ...all.filter(({ level }) => level === 'warning')];
  }
}
