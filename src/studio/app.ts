import { Hono } from 'hono';
import { limitBody, RequestError } from '../serve/index.ts';
import { studioApi } from './api/index.ts';
import { answerFailure, failure } from './http/failures.ts';
import { guard } from './http/guard.ts';
import { policies } from './http/headers.ts';
import type { PageFiles } from './http/page-files.ts';
import type { Studio } from './studio.ts';

/** Largest body of a request, in bytes: a form, judgements, or an edited text. */
const LARGEST_BODY = 2 ** 20;

export interface StudioAppOptions {
  studio: Studio;
  files: PageFiles;
  token: string;
  /** Known once the server listens. */
  port: () => number;
  /** Told of faults of our own, not of refusals. */
  onError: (error: unknown) => void;
}

/** The web application of the studio: nothing of it is reached without passing the guard. */
export function createStudioApp({ studio, files, token, port, onError }: StudioAppOptions): Hono {
  const app = new Hono();
  app.use(policies());
  app.use(guard(token, port));
  app.use(limitBody(LARGEST_BODY));
  app.use('/api/*', async (context, next) => {
    await next();
    context.header('cache-control', 'no-store');
  });
  app.onError((error, context) => answerFailure(context, error, onError));
  app.notFound((context) => {
    const missing = new RequestError(404, `there is no ${context.req.path.slice(0, 200)}`, {
      fix: 'Go back to the studio.',
    });
    return failure(context, missing);
  });
  app.route('/api', studioApi(studio));
  app.route('/', files.routes());
  return app;
}
