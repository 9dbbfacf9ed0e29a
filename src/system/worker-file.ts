import { fileURLToPath } from 'node:url';

/**
 * The compiled file of a worker thread, named beside the caller: `workerFile(import.meta.url, './runtime-worker.ts')`.
 * Node 20 cannot start a worker from TypeScript, so a caller that itself runs from `src/` (in the test runner) gets
 * the worker from `dist/`; `npm test` builds first.
 */
export function workerFile(callerUrl: string, relative: string): string {
  const source = fileURLToPath(new URL(relative, callerUrl));
  if (!callerUrl.endsWith('.ts')) return source.replace(/\.ts$/, '.js');
  const inside = source.lastIndexOf('/src/');
  return `${source.slice(0, inside)}/dist/${source.slice(inside + 5)}`.replace(/\.ts$/, '.js');
}
