import { fileURLToPath } from 'node:url';

/**
 * Returns the compiled file of a worker thread, given relative to the caller: `workerFile(import.meta.url, './runtime-worker.ts')`.
 * Node 20 cannot start a worker from TypeScript. If the caller runs from `src/` (in the test runner), the worker comes from
 * `dist/`; `npm test` builds it first.
 */
export function workerFile(callerUrl: string, relative: string): string {
  const source = fileURLToPath(new URL(relative, callerUrl));
  if (!callerUrl.endsWith('.ts')) return source.replace(/\.ts$/, '.js');
  const inside = source.lastIndexOf('/src/');
  return `${source.slice(0, inside)}/dist/${source.slice(inside + 5)}`.replace(/\.ts$/, '.js');
}
