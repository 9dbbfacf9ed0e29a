import { join } from 'node:path';
import { type AlignmentPlan, planAlignment } from '../../pipeline/index.ts';
import { RequestError } from '../../serve/index.ts';
import type { Progress } from '../../system/index.ts';
import type { PlannedRun } from '../shapes/recipes.ts';
import { consentsOf } from './consents.ts';
import type { Draft } from './draft.ts';

/** More plans than anybody looks at at once. */
const MOST_PLANS = 20;

/** What was planned and shown: only that can be started. */
export class PlannedRuns {
  readonly #drafts = new Map<string, { draft: Draft; obstacles: string[] }>();

  /** @throws RequestError if it was not planned, or the plan has found an obstacle */
  find(id: string): Draft {
    const known = this.#drafts.get(id);
    if (known === undefined) {
      throw new RequestError(409, 'this was not planned', {
        fix: 'Plan it first: the form, its recipe or the code has changed.',
      });
    }
    if (known.obstacles.length === 0) return known.draft;
    throw new RequestError(409, `the plan found obstacles: ${known.obstacles.join(', ')}`, {
      fix: 'Remove them, and plan again.',
    });
  }

  /** Checks inputs and estimates the cost, as `llm-qe align --plan` does. Nothing is run or downloaded. */
  async plan(
    draft: Draft,
    { runs, ...work }: { runs: string; signal: AbortSignal; progress: Progress },
  ): Promise<PlannedRun> {
    const { recipe, options, ...shown } = draft;
    const plan = await planAlignment(recipe!, { folder: join(runs, draft.run), ...options, ...work });
    const obstacles = obstaclesOf(plan);
    this.#drafts.delete(draft.id);
    this.#drafts.set(draft.id, { draft, obstacles });
    for (const id of [...this.#drafts.keys()].slice(0, -MOST_PLANS)) this.#drafts.delete(id);
    const { inputs, stages, files, total } = plan;
    return { ...shown, obstacles, inputs, files, total, stages };
  }
}

function obstaclesOf({ inputs }: AlignmentPlan): string[] {
  return inputs.filter(({ state }) => state === 'bad' || state === 'missing').map(({ input }) => input);
}

/**
 * Refuses a start without every consent, and one whose code or key is no longer that of the plan.
 * @throws RequestError that names what is missing
 */
export async function checkConsents({ recipe, consents }: Draft, confirmed: readonly string[]): Promise<void> {
  const now = await consentsOf(recipe!);
  const changed = now.filter(({ id }) => !consents.some((one) => one.id === id));
  if (changed.length > 0) {
    const what = changed.map(({ name }) => name).join(', ');
    throw new RequestError(409, `has changed since: ${what}`, { fix: 'Look at it again, and plan again.' });
  }
  const open = consents.filter(({ id }) => !confirmed.includes(id));
  if (open.length === 0) return;
  const named = open.map(({ name }) => name).join(', ');
  throw new RequestError(403, `not confirmed: ${named}`, { fix: 'Confirm each by its box, if you trust it.' });
}
