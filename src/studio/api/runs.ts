import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { Hono } from 'hono';
import { listRuns } from '../../pipeline/index.ts';
import { eventStream } from '../http/event-stream.ts';
import { readLog } from '../recipes/run-log.ts';
import type { RunProcesses } from '../recipes/run-process.ts';
import type { RunLog, RunProcess } from '../shapes/recipes.ts';
import type { RunList, RunPage, RunState } from '../shapes/runs.ts';
import type { Studio } from '../studio.ts';
import { LineCounts } from './run/line-counts.ts';
import { resumePlace } from './run/resume-place.ts';
import { readRunPage } from './run/run-page.ts';
import { fileInside, runPlace } from './run/run-place.ts';
import { runContentsApi } from './run-contents.ts';
import { runControlApi } from './run-control.ts';

/** How often a run is looked at while somebody watches it. Watching by the system's events fails on shared folders. */
const LOOK_MS = 1000;

/** `/api/runs`: the runs and their states, what is in their folders, and their processes. Other processes work there: only the studio's own part is written. */
export function runsApi(studio: Studio, processes: RunProcesses): Hono {
  const { options, signal } = studio;
  const app = new Hono();
  const counts = new LineCounts();
  const placeOf = (name: string) => runPlace(options.runs, name);
  const pageOf = async (folder: string): Promise<RunPage> => {
    const seen = await readRunPage(folder, counts);
    const process = await processes.look(folder);
    if (process.state !== 'ended') return { ...seen, state: seen.state === 'unknown' ? 'unknown' : 'running', process };
    // It has ended since the folder was read.
    const page = seen.state === 'running' ? await readRunPage(folder, counts) : seen;
    const resumesAt = process.end?.kind === 'finished' ? undefined : await resumePlace(folder, page.stages);
    return { ...page, state: truthful(page.state, process), process: { ...process, resumesAt } };
  };
  app.get('/', async (context) => {
    const listed = await listRuns(options.runs);
    const runs = await Promise.all(
      listed.map(async (run) => {
        if (run.state !== 'finished') return run;
        return { ...run, state: truthful(run.state, await processes.look(join(options.runs, run.name))) };
      }),
    );
    return context.json({ folder: options.runs, runs } satisfies RunList);
  });
  app.get('/:name', async (context) => {
    const page = await pageOf(await placeOf(context.req.param('name')));
    return context.json(page satisfies RunPage);
  });
  app.get('/:name/live', async (context) => {
    const folder = await placeOf(context.req.param('name'));
    return eventStream(context, signal, async (send, stop) => {
      const sent = { run: '', log: JSON.stringify({ text: '', isCut: false } satisfies RunLog) };
      const sendNews = async (event: keyof typeof sent, data: RunPage | RunLog) => {
        const now = JSON.stringify(data);
        if (now !== sent[event]) await send(event, data);
        sent[event] = now;
      };
      while (!stop.aborted) {
        await sendNews('log', await readLog(folder));
        await sendNews('run', await pageOf(folder));
        await pause(LOOK_MS, undefined, { signal: stop });
      }
    });
  });
  app.get('/:name/report', async (context) => {
    const file = await fileInside(await placeOf(context.req.param('name')), 'report.html');
    const body = Readable.toWeb(createReadStream(file)) as ReadableStream;
    return new Response(body, { headers: { 'content-type': 'text/html; charset=utf-8' } });
  });
  app.get('/:name/log', async (context) => {
    return context.json((await readLog(await placeOf(context.req.param('name')))) satisfies RunLog);
  });
  app.route('/', runControlApi(studio, processes));
  app.route('/', runContentsApi(studio, counts));
  return app;
}

/** Between two stages all that have begun are finished, but a run that ended there is not: the end of its log says so. */
function truthful(state: RunState, { end }: RunProcess): RunState {
  return state === 'finished' && end !== undefined && end.kind !== 'finished' ? 'stopped' : state;
}
