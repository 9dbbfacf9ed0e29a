import { defineConfig } from 'vitest/config';

/** The tests of one room, which the mutation tester names; see mutate.mjs. */
export default defineConfig({
  test: {
    include: JSON.parse(process.env.LLM_QE_MUTATION_TESTS ?? '[]') as string[],
    exclude: ['**/*.models.test.ts'],
    testTimeout: 30_000,
    isolate: false,
  },
});
