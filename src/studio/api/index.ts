import { Hono } from 'hono';
import { packageVersion } from '../../system/index.ts';
import type { StudioFacts } from '../shapes/studio.ts';
import type { Studio } from '../studio.ts';
import { judgeApi } from './judge.ts';
import { queriesApi } from './queries.ts';
import { runsApi } from './runs.ts';
import { tryApi } from './try.ts';

/** Everything under `/api`: one part per screen, and what all screens need. */
export function studioApi(studio: Studio): Hono {
  const app = new Hono();
  const { runs, settings, generators, progress } = studio.options;
  app.get('/studio', (context) => {
    const corpora = [...studio.corpora.values()];
    const facts = { version: packageVersion(), runs, corpora, encoder: settings.encoder, generators: [...generators] };
    return context.json(facts satisfies StudioFacts);
  });
  app.route('/progress', progress.routes(studio.signal));
  app.route('/try', tryApi(studio));
  app.route('/runs', runsApi(studio));
  app.route('/queries', queriesApi(studio));
  app.route('/judge', judgeApi(studio));
  return app;
}
