import { expect, test } from 'vitest';
import { describeLengthBias, PreferenceWatch, watchSteps } from './preference-watch.ts';

/** The warnings of a run whose metrics follow these functions of the step. */
function told(figures: Record<'rewardChosen' | 'margin' | 'logProbabilityEnd', (step: number) => number>): string[] {
  const lines: string[] = [];
  const watch = new PreferenceWatch((line) => lines.push(line));
  for (let step = 1; step <= 60; step++) {
    watch.see({ step, values: Object.fromEntries(Object.entries(figures).map(([name, of]) => [name, of(step)])) });
  }
  return lines;
}

const sound = {
  rewardChosen: (step: number) => step / 50,
  margin: (step: number) => step / 20,
  logProbabilityEnd: () => -1,
};

test('a sound run gives no warning', () => {
  expect(told(sound)).toEqual([]);
  // Noise around a constant mean is not a fall.
  expect(told({ ...sound, rewardChosen: (step) => (step % 2) - 0.2 })).toEqual([]);
});

test('chosen answers that become less likely while the margin grows are reported once', () => {
  const lines = told({ ...sound, rewardChosen: (step) => -step / 40 });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(
    /^step 20: the reward of chosen answers falls \(-0\.138 to -0\.388\) while the margin grows/,
  );
  expect(told({ ...sound, rewardChosen: (step) => -step / 40, margin: () => 1 })).toEqual([]);
});

test('answers that no longer end are reported once', () => {
  const lines = told({ ...sound, logProbabilityEnd: (step) => -step / 10 });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^step 30: answers no longer end/);
});

test('metrics of another kind of training are ignored', () => {
  const lines: string[] = [];
  const watch = new PreferenceWatch((line) => lines.push(line));
  for (let step = 1; step <= 40; step++) watch.see({ step, values: { loss: step, rewardChosen: null } });
  expect(lines).toEqual([]);
});

test('steps are passed on to the listener', () => {
  const [steps, lines]: [number[], string[]] = [[], []];
  const onStep = watchSteps({ onStep: ({ step }) => steps.push(step), warn: (line) => lines.push(line) });
  for (let step = 1; step <= 20; step++) {
    onStep({ time: 0, epoch: 0, split: 'train', step, values: { rewardChosen: -step, margin: step } });
  }
  expect(steps.length).toBe(20);
  expect(lines.join()).toMatch(/^step 20: the reward of chosen answers falls/);
});

test('chosen answers much longer than rejected ones give a warning', () => {
  const pair = (chosen: number, rejected: number) => {
    return { chosen: new Int32Array(chosen), rejected: new Int32Array(rejected) };
  };
  expect(describeLengthBias([pair(10, 9), pair(8, 9)])).toBeUndefined();
  expect(describeLengthBias([pair(3, 9)])).toBeUndefined();
  expect(describeLengthBias([pair(20, 9), pair(10, 9)])).toMatch(/15\.0 tokens against 9\.0/);
});
