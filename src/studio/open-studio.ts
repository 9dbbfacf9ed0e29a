import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { listenWith } from '../serve/index.ts';
import { workerFile } from '../system/index.ts';
import { createStudioApp } from './app.ts';
import { PageFiles } from './http/page-files.ts';
import type { Studio } from './studio.ts';

const HOST = '127.0.0.1';
/** Requests in flight have this long when the studio is told to end. */
const DRAIN_MS = 5000;

/** A studio that listens. */
export interface OpenStudio {
  /** The address to open, with the token. */
  url: string;
  token: string;
  /** Answers what is in flight, then closes models and corpora. */
  close(): Promise<void>;
}

/**
 * Lets the studio answer on 127.0.0.1.
 * @param port 0: any free port
 * @throws ResourceError if the port is taken, or the page was not built
 */
export async function openStudio(
  studio: Studio,
  { port, onError }: { port: number; onError: (error: unknown) => void },
): Promise<OpenStudio> {
  const files = new PageFiles(pageFolder());
  const token = randomBytes(32).toString('base64url');
  let actual = port;
  const app = createStudioApp({ studio, files, token, port: () => actual, onError });
  const listening = await listenWith(app, { host: HOST, port });
  actual = Number(new URL(listening.url).port || 80);
  return {
    url: `http://${HOST}:${actual}/?token=${token}`,
    token,
    async close() {
      await listening.close(DRAIN_MS);
      await studio.close();
    },
  };
}

/** The compiled page; a test that runs from src/ finds it in dist/, as it finds workers. */
export function pageFolder(): string {
  return dirname(workerFile(import.meta.url, './page/index.html'));
}
