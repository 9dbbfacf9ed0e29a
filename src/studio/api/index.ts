import { Hono, type MiddlewareHandler } from 'hono';
import { RequestError } from '../../serve/index.ts';
import { packageVersion } from '../../system/index.ts';
import { RunProcesses } from '../recipes/run-process.ts';
import type { StudioFacts } from '../shapes/studio.ts';
import type { Studio } from '../studio.ts';
import { judgeApi } from './judge.ts';
import { queriesApi } from './queries.ts';
import { recipesApi } from './recipes.ts';
import { runsApi } from './runs.ts';
import { tryApi } from './try.ts';

/** Everything under `/api`: one part per screen, and what all screens need. */
export function studioApi(studio: Studio): Hono {
  const app = new Hono();
  const { runs, settings, generators, progress, program, readOnly = false } = studio.options;
  app.get('/studio', (context) => {
    const corpora = [...studio.corpora.values()];
    const facts = { version: packageVersion(), runs, corpora, encoder: settings.encoder, generators: [...generators] };
    return context.json(facts satisfies StudioFacts);
  });
  app.route('/progress', progress.routes(studio.signal));
  app.route('/try', tryApi(studio));
  const processes = new RunProcesses(runs, readOnly ? undefined : program);
  app.route('/recipes', recipesApi(studio, processes));
  app.route('/runs', runsApi(studio, processes));
  app.route('/queries', queriesApi(studio));
  if (readOnly) app.use('/judge/*', refuseChanges);
  app.route('/judge', judgeApi(studio));
  return app;
}

/** Whatever judging sends is written. @throws RequestError */
const refuseChanges: MiddlewareHandler = async ({ req }, next) => {
  if (req.method === 'GET') return next();
  throw new RequestError(403, 'this studio changes nothing', { fix: 'Start it without --read-only.' });
};
