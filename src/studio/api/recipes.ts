import { Hono } from 'hono';
import { z } from 'zod';
import { ENGINES, editRecipe, recipeSchema } from '../../pipeline/index.ts';
import { keepSecret, redact } from '../../system/index.ts';
import { eventStream } from '../http/event-stream.ts';
import { readBody, readQuery } from '../http/request.ts';
import { serverKey } from '../recipes/consents.ts';
import { draftOf, recipeFormSchema } from '../recipes/draft.ts';
import { checkConsents, PlannedRuns } from '../recipes/plan-run.ts';
import { fieldText, recipeForm } from '../recipes/recipe-form.ts';
import type { RunProcesses } from '../recipes/run-process.ts';
import { listRecipes, readSource } from '../recipes/sources.ts';
import type { CheckedRecipe, PlannedRun, RecipeChoices, RecipeForm, RecipeSource } from '../shapes/recipes.ts';
import type { Studio } from '../studio.ts';

const sourceSchema = z.object({ source: z.string().min(1).max(1100) });
export const startSchema = z.object({ id: z.string().max(200), confirmed: z.array(z.string().max(5000)).max(500) });

/** `/api/recipes`: recipes to choose, their form, what it makes, its plan, and the start of what was planned. */
export function recipesApi({ options, signal }: Studio, processes: RunProcesses): Hono {
  const app = new Hono();
  const { runs, folder = '.', progress } = options;
  const sections = recipeForm(recipeSchema);
  const planned = new PlannedRuns();
  // What was read from the environment is hidden in everything that is shown.
  const key = serverKey();
  if (key !== undefined) keepSecret(key);
  const draft = (form: RecipeForm) => draftOf(form, { folder, runs });

  app.get('/', async (context) => {
    const recipes = await listRecipes(folder);
    const { why } = processes;
    return context.json({ recipes, sections, engines: [...ENGINES], why } satisfies RecipeChoices);
  });

  app.get('/source', async (context) => {
    const { source } = readQuery(context, sourceSchema);
    const { content } = editRecipe(await readSource(folder, source), source, []);
    const fields = sections.flatMap((section) => section.fields);
    const texts = fields.flatMap(({ key: name, kind }) => {
      const value = valueAt(content, name.split('.'));
      return value === undefined ? [] : [[name, redact(fieldText(kind, value))]];
    });
    return context.json({ source, values: Object.fromEntries(texts) } satisfies RecipeSource);
  });

  app.post('/check', async (context) => {
    const {
      recipe: _,
      id: _id,
      options: _options,
      ...checked
    } = await draft(await readBody(context, recipeFormSchema));
    return context.json(checked satisfies CheckedRecipe);
  });

  app.post('/plan', async (context) => {
    const form = await readBody(context, recipeFormSchema);
    return eventStream(context, signal, async (send, stop) => {
      const made = await draft(form);
      const { recipe, id: _, options: _options, ...checked } = made;
      if (recipe === undefined) return send('checked', checked satisfies CheckedRecipe);
      const plan: PlannedRun = await planned.plan(made, { runs, signal: stop, progress });
      await send('plan', plan);
    });
  });

  app.post('/start', async (context) => {
    processes.refuseReadOnly();
    const { id, confirmed } = await readBody(context, startSchema);
    const made = planned.find(id);
    await checkConsents(made, confirmed);
    await processes.start(made);
    return context.json({ run: made.run });
  });
  return app;
}

function valueAt(content: unknown, [key, ...rest]: readonly string[]): unknown {
  if (key === undefined) return content;
  const isSection = typeof content === 'object' && content !== null && Object.hasOwn(content, key);
  return isSection ? valueAt((content as Record<string, unknown>)[key], rest) : undefined;
}
