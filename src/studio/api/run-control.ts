import { join } from 'node:path';
import { Hono } from 'hono';
import { z } from 'zod';
import { RequestError } from '../../serve/index.ts';
import { readBody } from '../http/request.ts';
import { RECIPE_FILE } from '../recipes/align-command.ts';
import { type Draft, draftOfRun } from '../recipes/draft.ts';
import { checkConsents } from '../recipes/plan-run.ts';
import type { RunProcesses } from '../recipes/run-process.ts';
import { readRecipeFile } from '../recipes/sources.ts';
import type { Resumable } from '../shapes/recipes.ts';
import type { Studio } from '../studio.ts';
import { startSchema } from './recipes.ts';
import { fileInside, runPlace } from './run/run-place.ts';

/** Of a recipe with its edits, in bytes; `llm-qe align` reads no larger one. */
const LARGEST_RECIPE = 2 ** 20;

/** `/api/runs/NAME/stop` and `/resume`. */
export function runControlApi({ options: { runs } }: Studio, processes: RunProcesses): Hono {
  const app = new Hono();
  const lastDraft = async (run: string): Promise<Draft> => {
    const folder = await runPlace(runs, run);
    const options = await processes.lastOptions(folder);
    const file = await fileInside(folder, RECIPE_FILE.replaceAll('\\', '/'));
    const text = await readRecipeFile(file, RECIPE_FILE, LARGEST_RECIPE);
    const draft = await draftOfRun(text, join(folder, RECIPE_FILE), { run, runs, options });
    if (draft.recipe !== undefined) return draft;
    const [fault] = draft.faults;
    throw new RequestError(422, `${fault!.key}: ${fault!.message}`, { fix: fault!.fix ?? 'Start a new run.' });
  };

  app.get('/:name/resume', async (context) => {
    const { id, command, consents } = await lastDraft(context.req.param('name'));
    return context.json({ id, command, consents } satisfies Resumable);
  });

  app.post('/:name/resume', async (context) => {
    processes.refuseReadOnly();
    const { id, confirmed } = await readBody(context, startSchema);
    const draft = await lastDraft(context.req.param('name'));
    if (draft.id !== id) {
      throw new RequestError(409, 'the recipe or its code has changed', { fix: 'Reload the page, and read it again.' });
    }
    await checkConsents(draft, confirmed);
    await processes.start(draft);
    return context.json({ run: draft.run });
  });

  app.post('/:name/stop', async (context) => {
    processes.refuseReadOnly();
    await readBody(context, z.object({}));
    await processes.stop(await runPlace(runs, context.req.param('name')));
    return context.json({});
  });
  return app;
}
