import { Hono } from 'hono';
import { listRuns } from '../../pipeline/index.ts';
import type { RunList } from '../shapes/runs.ts';
import type { Studio } from '../studio.ts';

/** `/api/runs`: the runs and their states. */
export function runsApi({ options }: Studio): Hono {
  const app = new Hono();
  app.get('/', async (context) => {
    const runs = await listRuns(options.runs);
    return context.json({ folder: options.runs, runs } satisfies RunList);
  });
  return app;
}
