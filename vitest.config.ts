import { defineConfig } from 'vitest/config';

/**
 * Three suites: `x.test.ts` runs everywhere, without a model; `x.browser.test.ts` runs in Chromium, by `npm run test:browser`;
 * `x.models.test.ts` runs on the real small models, by `npm run test:models`, which runs those in the browser as well.
 */
const models = process.env.LLM_QE_TEST_MODELS === '1';
const browser = process.env.LLM_QE_TEST_BROWSER === '1';

const BROWSER = '{src,test}/**/*.browser.test.ts';
const MODELS = '{src,test}/**/*.models.test.ts';

/** What runs: with the models also the tests in a browser, since both need more than npm brings. */
function chosen(): { include: string[]; exclude: string[] } {
  if (browser) return { include: [BROWSER], exclude: [] };
  if (models) return { include: [MODELS, BROWSER], exclude: [] };
  return {
    include: ['{src,test}/**/*.test.ts'],
    exclude: ['**/*.models.test.ts', '**/*.browser.test.ts', 'node_modules/**'],
  };
}

export default defineConfig({
  test: {
    ...chosen(),
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
