import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { Hono } from 'hono';
import { listRuns } from '../../pipeline/index.ts';
import { eventStream } from '../http/event-stream.ts';
import type { RunList, RunPage } from '../shapes/runs.ts';
import type { Studio } from '../studio.ts';
import { LineCounts } from './run/line-counts.ts';
import { readRunPage } from './run/run-page.ts';
import { fileInside, runPlace } from './run/run-place.ts';
import { runContentsApi } from './run-contents.ts';

/** How often a run is looked at while somebody watches it. Watching by the system's events fails on shared folders. */
const LOOK_MS = 1000;

/** `/api/runs`: the runs and their states, and what is in their folders. Other processes work there, so nothing is ever written. */
export function runsApi(studio: Studio): Hono {
  const { options, signal } = studio;
  const app = new Hono();
  const counts = new LineCounts();
  const placeOf = (name: string) => runPlace(options.runs, name);
  app.get('/', async (context) => {
    const runs = await listRuns(options.runs);
    return context.json({ folder: options.runs, runs } satisfies RunList);
  });
  app.get('/:name', async (context) => {
    const page = await readRunPage(await placeOf(context.req.param('name')), counts);
    return context.json(page satisfies RunPage);
  });
  app.get('/:name/live', async (context) => {
    const folder = await placeOf(context.req.param('name'));
    return eventStream(context, signal, async (send, stop) => {
      let sent = '';
      while (!stop.aborted) {
        const page: RunPage = await readRunPage(folder, counts);
        const now = JSON.stringify(page);
        if (now !== sent) await send('run', page);
        sent = now;
        await pause(LOOK_MS, undefined, { signal: stop });
      }
    });
  });
  app.get('/:name/report', async (context) => {
    const file = await fileInside(await placeOf(context.req.param('name')), 'report.html');
    const body = Readable.toWeb(createReadStream(file)) as ReadableStream;
    return new Response(body, { headers: { 'content-type': 'text/html; charset=utf-8' } });
  });
  app.route('/', runContentsApi(studio, counts));
  return app;
}
