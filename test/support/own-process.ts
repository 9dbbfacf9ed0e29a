import { afterAll, vi } from 'vitest';

/** All test files of a worker share its process: each leaves the environment, globals and timers as it found them. */
const before = { ...process.env };
afterAll(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  vi.useRealTimers();
  for (const name of Object.keys(process.env)) if (!Object.hasOwn(before, name)) delete process.env[name];
  Object.assign(process.env, before);
});
