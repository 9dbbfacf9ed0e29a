import type { GateData } from '../../src/gate/index.ts';

/** Few words help before writing; after it, a cosine above the mean does. */
export const GATE_DATA: GateData = {
  ...{ kind: 'gate', format: 1, version: '1.0.0', measure: 'nDCG@10', seed: 42 },
  madeFor: { retriever: 'dense', settings: { encoder: 'five', 'encoder key': 'five-1', similarity: 'dot' } },
  ...{ writers: ['smollm2'], weights: [0, 0.25, 0.5], probe: 0.5, constant: 0.25 },
  trainedOn: [{ dataset: 'a', split: 'dev', queries: 100 }],
  before: {
    features: [{ name: 'words', definition: 'its words', mean: Math.log(4), deviation: 1, coefficient: -2 }],
    ...{ intercept: 0, penalty: 1, calibration: { x: [], y: [] } },
  },
  after: {
    features: [{ name: 'cosine', definition: 'its cosine', mean: 0.5, deviation: 0.25, coefficient: 1 }],
    ...{ intercept: 0, penalty: 1, calibration: { x: [-1, 1], y: [0, 1] } },
  },
  policy: { writeFrom: 0.6, weightFrom: 0.25, ramp: 0.5, highest: 0.5 },
  heldOut: [],
};
