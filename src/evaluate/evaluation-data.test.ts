import { expect, it } from 'vitest';
import { evaluationSchema } from './evaluation-data.ts';

it("an evaluation's tests are corrected for their number", () => {
  const test = {
    ...{ arm: 'aligned', baseline: 'raw', measure: 'nDCG@10', delta: 0.1, interval: [0, 0.2] },
    ...{ tTest: 0.1, randomization: 0.1, holm: 0.2, helped: 1, hurt: 0, unchanged: 0 },
  };
  const { holm: _left, ...uncorrected } = test;
  const evaluation = (tests: object[]) => ({
    dataset: { name: 'toy', documents: 5, dev: 0, test: 1 },
    ...{ measure: 'nDCG@10', seeds: [1], judges: [], queries: [] },
    main: { judge: 'five', settings: { alpha: 1, k: 'x', on: true }, arms: [], tests },
  });
  expect(evaluationSchema.safeParse(evaluation([test])).success).toBe(true);
  expect(evaluationSchema.safeParse(evaluation([uncorrected])).success).toBe(false);
});
