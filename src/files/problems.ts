/** A kind of problem that {@link checkBeir} found, with the first places it was found at. */
export interface Problem {
  /** An error makes results wrong or a command fail; a warning is worth knowing. */
  level: 'error' | 'warning';
  what: string;
  count: number;
  /** The first few, each naming file, line and id. */
  examples: string[];
}

const MAX_EXAMPLES = 5;

/** Gathers problems by kind, in the order in which each kind was first met. */
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

  /** Errors first. */
  list(): Problem[] {
    const all = [...this.#problems.values()];
    return [...all.filter(({ level }) => level === 'error'), ...all.filter(({ level }) => level === 'warning')];
  }
}
