import { defineConfig } from 'vitest/config';

/**
 * Two suites: `x.test.ts` runs everywhere, without a model; `x.models.test.ts` runs on the real small models and is
 * asked for by `npm run test:models`.
 */
const models = process.env.LLM_QE_TEST_MODELS === '1';

export default defineConfig({
  test: {
    include: models ? ['{src,test}/**/*.models.test.ts'] : ['{src,test}/**/*.test.ts'],
    exclude: models ? [] : ['**/*.models.test.ts', 'node_modules/**'],
    // No test takes a tenth of this; a busy machine must not fail one.
    testTimeout: models ? 900_000 : 120_000,
    hookTimeout: models ? 300_000 : 120_000,
    pool: 'forks',
    // A worker runs many files and loads each module once; the set-up file restores what a test changes in the process.
    isolate: models,
    setupFiles: ['test/support/own-process.ts'],
    maxWorkers: models ? 1 : 2,
  },
});
