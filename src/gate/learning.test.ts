import { describe, expect, it } from 'vitest';
import { Random } from '../system/index.ts';
import { fitCalibrated, type LabelledExample, probabilityUnder, strongestFeature } from './calibrated-model.ts';
import { holdOut } from './hold-out.ts';
import { choosePolicy, weightPlace } from './policy.ts';
import { comparePolicies } from './policy-report.ts';
import { type GateExample, learnGate, learnSafeGate } from './train-gate.ts';

const SEED = 5;

/** Expansion helps queries with a low first score, and hurts the others; `words` is noise. */
function examples(collection: string, count: number, { gain = 0.3, loss = 0.3, seed = 1 } = {}): GateExample[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_none, at) => {
    const firstScore = random.normal();
    const helps = firstScore < 0;
    const raw = 0.5;
    const full = raw + (helps ? gain : -loss);
    return {
      ...{ collection, query: `${collection}${at}`, features: { firstScore, words: random.normal() } },
      values: [raw, (raw + full) / 2, full],
    };
  });
}
const WEIGHTS = [0, 0.5, 1];

describe('a calibrated model', () => {
  const labelled = (label: (x: number) => boolean, weight: (x: number) => number, groups = 1): LabelledExample[] => {
    const random = new Random(3);
    return Array.from({ length: 200 }, (_none, at) => {
      const x = random.normal();
      return { features: { firstScore: x }, label: label(x), weight: weight(x), group: String(at % groups) };
    });
  };

  it('learns what tells gains from losses, and says so', () => {
    const { model, heldOut } = fitCalibrated(
      labelled(
        (x) => x < 0,
        () => 1,
        4,
      ),
      ['firstScore', 'words'],
      SEED,
    );
    expect(model.features.map(({ name }) => name)).toEqual(['firstScore']); // words is missing everywhere
    expect(model.features[0]!.coefficient).toBeLessThan(0);
    expect(probabilityUnder(model, { firstScore: -2 })).toBeGreaterThan(0.9);
    expect(probabilityUnder(model, { firstScore: 2 })).toBeLessThan(0.1);
    // A missing or broken value counts as the mean; a far one is cut.
    expect(probabilityUnder(model, {})).toBe(probabilityUnder(model, { firstScore: model.features[0]!.mean }));
    expect(probabilityUnder(model, { firstScore: Number.NaN })).toBe(probabilityUnder(model, {}));
    expect(probabilityUnder(model, { firstScore: -1e9 })).toBe(probabilityUnder(model, { firstScore: -100 }));
    expect(heldOut).toHaveLength(200);
    expect(strongestFeature(model, { firstScore: -2 }, 'up')).toMatchObject({ name: 'firstScore', value: -2 });
    expect(strongestFeature(model, { firstScore: -2 }, 'down')).toBeUndefined();
  });

  it('gives the share of gains among all changes, by their size', () => {
    // Nothing to learn from: half the examples gain, but their changes are three times as large.
    const noise = labelled(
      () => true,
      () => 3,
    ).map((one, at) => ({ ...one, label: at % 2 === 0, weight: at % 2 === 0 ? 3 : 1, features: {} }));
    const { model } = fitCalibrated(noise, ['firstScore'], SEED);
    expect(model.features).toEqual([]);
    expect(probabilityUnder(model, {})).toBeCloseTo(0.75, 1);
  });

  it('is short of certainty where expansion only helped, and undecided where it changed nothing', () => {
    const all = (label: boolean, weight: number) =>
      fitCalibrated(
        labelled(
          () => label,
          () => weight,
        ),
        ['firstScore'],
        SEED,
      );
    expect(probabilityUnder(all(true, 1).model, { firstScore: 1 })).toBe(1);
    expect(probabilityUnder(all(false, 1).model, { firstScore: 1 })).toBe(0);
    expect(probabilityUnder(all(true, 0).model, { firstScore: 1 })).toBe(0.5);
  });

  it('holds out each group with its own model', () => {
    // The feature differs in group 1 alone: a model that did not learn from that group knows nothing of it.
    const uneven = labelled(
      (x) => x < 0,
      () => 1,
      2,
    ).map((one, at) => (one.group === '1' ? one : { ...one, features: { firstScore: 0 }, label: at % 4 === 0 }));
    const { heldOut, model } = fitCalibrated(uneven, ['firstScore'], SEED);
    expect(new Set(heldOut.filter((_one, at) => uneven[at]!.group === '1')).size).toBe(1);
    expect(model.features[0]!.coefficient).toBeLessThan(-0.1);
  });
});

describe('a policy', () => {
  const one = (before: number, after: number, values: number[], group = 'a') => ({ before, after, values, group });

  it('turns probabilities into a weight of the grid', () => {
    const policy = { writeFrom: 0.4, weightFrom: 0.5, ramp: 0.5, highest: 1 };
    const grid = [0, 0.25, 0.5, 1];
    expect(weightPlace(policy, grid, 0.39, 0.9)).toBe(0);
    expect(weightPlace(policy, grid, 0.4, 0.49)).toBe(0);
    expect(weightPlace(policy, grid, 0.4, 0.75)).toBe(2);
    expect(weightPlace(policy, grid, 0.4, 1)).toBe(3);
    // 0.375 is as near to 0.25 as to 0.5: the smaller.
    expect(weightPlace({ ...policy, ramp: 1 }, grid, 1, 0.875)).toBe(1);
    expect(weightPlace({ ...policy, ramp: 0, highest: 0.5 }, grid, 1, 0.5)).toBe(2);
  });

  it('is the most cautious of those within one standard error of the best', () => {
    const never = choosePolicy([one(0.9, 0.9, [0.5, 0.5, 0.5]), one(0.1, 0.1, [0.5, 0.4, 0.3])], WEIGHTS);
    expect(never.writeFrom).toBeGreaterThan(1);
    // Without a difference between queries there is no error: the best, by the smallest weight, writing least.
    const same = Array.from({ length: 4 }, () => one(0.9, 0.9, [0.5, 0.7, 0.7]));
    expect(choosePolicy(same, WEIGHTS)).toEqual({ writeFrom: 0.9, weightFrom: 0.9, ramp: 0, highest: 0.5 });
    // Weight 1 gains 0.3 and 0.1: 0.2 +- 0.1. Weight 0.5 gains 0.11 in the mean: within one error, and more cautious.
    const noisy = [one(0.9, 0.9, [0.5, 0.61, 0.8]), one(0.9, 0.9, [0.5, 0.61, 0.6])];
    expect(choosePolicy(noisy, WEIGHTS).highest).toBe(0.5);
    const poor = [one(0.9, 0.9, [0.5, 0.59, 0.8]), one(0.9, 0.9, [0.5, 0.59, 0.6])];
    expect(choosePolicy(poor, WEIGHTS).highest).toBe(1);
    // A gain of one query in two, 0.1 +- 0.1, may be chance.
    const chance = [one(0.9, 0.9, [0.5, 0.7, 0.7]), one(0.9, 0.9, [0.5, 0.5, 0.5])];
    expect(choosePolicy(chance, WEIGHTS).writeFrom).toBeGreaterThan(1);
  });

  it('lets both stages decide: what looked good before writing may be refused after', () => {
    const found = choosePolicy([one(0.9, 0.9, [0, 0, 1]), one(0.8, 0.1, [1, 1, 0]), one(0.1, 0.9, [1, 1, 0])], WEIGHTS);
    expect(found.writeFrom).toBeGreaterThan(0.1);
    expect(found.weightFrom).toBeGreaterThan(0.1);
    expect(found.highest).toBe(1);
  });

  it('counts each group as much as another', () => {
    const many = Array.from({ length: 9 }, () => one(0.5, 0.5, [0.5, 0.6, 0.6]));
    const few = one(0.5, 0.5, [0.5, 0.3, 0.3], 'b');
    expect(choosePolicy([...many, few], WEIGHTS).writeFrom).toBeGreaterThan(1);
    expect(choosePolicy([...many, { ...few, group: 'a' }], WEIGHTS).writeFrom).toBe(0.5);
  });
});

describe('a gate', () => {
  it('that learned from other collections finds the queries that expansion helps', () => {
    const all = ['a', 'b', 'c'].flatMap((name, at) => examples(name, 80, { seed: at + 1 }));
    const reports = holdOut(all, { weights: WEIGHTS, always: 1, seed: SEED });
    expect(reports.map(({ collection, queries }) => [collection, queries])).toEqual([
      ['a', 80],
      ['b', 80],
      ['c', 80],
    ]);
    for (const { means, harmed, saved, tests } of reports) {
      expect(means.never).toBeCloseTo(0.5, 12);
      expect(means.gate).toBeGreaterThan(means.always + 0.1);
      expect(means.gate).toBeGreaterThan(means.oracle - 0.03);
      expect(harmed.gate.queries).toBeLessThan(harmed.always.queries);
      expect(saved.share).toBeGreaterThan(0.3);
      expect(tests[0]).toMatchObject({ against: 'never' });
      expect(tests[0]!.interval[0]).toBeGreaterThan(0);
    }
  });

  it('learns nothing from the collection that is left out', () => {
    const all = [...examples('a', 60), ...examples('b', 60, { seed: 2 })];
    const turned = examples('c', 60, { seed: 3 });
    // In c, expansion helps the opposite queries: a gate that saw c would do better there.
    const contrary = turned.map((one) => ({
      ...one,
      features: { ...one.features, firstScore: -one.features.firstScore! },
    }));
    const reports = holdOut([...all, ...contrary], { weights: WEIGHTS, always: 1, seed: SEED });
    expect(reports.at(-1)!.means.gate).toBeLessThan(reports.at(-1)!.means.never);
  });

  it('is tried on parts of a single collection', () => {
    const [report] = holdOut(examples('a', 100), { weights: WEIGHTS, always: 0.5, seed: SEED });
    expect(report!.queries).toBe(100);
    expect(report!.means.gate).toBeGreaterThan(report!.means.always);
  });

  it('never expands where expansion only hurts, and always where it only helps', () => {
    const hurt = learnGate(examples('a', 50, { gain: -0.1 }), WEIGHTS, SEED);
    expect(hurt.policy.writeFrom).toBeGreaterThan(1);
    expect(hurt.constant).toBe(0);
    const helped = learnGate(examples('a', 50, { loss: -0.1 }), WEIGHTS, SEED);
    expect(helped.constant).toBe(1);
    const probability = probabilityUnder(helped.after, { firstScore: 0 });
    expect(weightPlace(helped.policy, WEIGHTS, probabilityUnder(helped.before, { firstScore: 0 }), probability)).toBe(
      2,
    );
  });

  it('weighs each collection as much as another, however many queries it has', () => {
    const of = (collection: string, count: number, full: number): GateExample[] =>
      Array.from({ length: count }, (_none, at) => {
        return { collection, query: String(at), features: {}, values: [0.5, 0.5, full] };
      });
    // 90 queries lose 0.1, 10 gain 0.2: the mean over collections gains, and two thirds of the changes are gains.
    const gate = learnGate([...of('many', 90, 0.4), ...of('few', 10, 0.7)], WEIGHTS, SEED);
    expect(gate.constant).toBe(1);
    expect(probabilityUnder(gate.before, {})).toBeCloseTo(2 / 3, 6);
  });

  it('harms no more than allowed, by a threshold that is tested on queries it did not learn from', () => {
    // firstScore tells gains from losses but for a share of the queries, which expansion harms by chance.
    const noisy = (seed: number): GateExample[] => {
      const random = new Random(seed);
      return examples('a', 600, { seed }).map((one) =>
        random.uniform() < 0.3 ? { ...one, values: [...one.values].reverse() } : one,
      );
    };
    const harmOf = ({ before, after, policy }: ReturnType<typeof learnSafeGate>, all: readonly GateExample[]) =>
      all.filter(({ features, values }) => {
        const place = weightPlace(
          policy,
          WEIGHTS,
          probabilityUnder(before, features),
          probabilityUnder(after, features),
        );
        return values[place]! < values[0]!;
      }).length / all.length;
    const free = learnSafeGate(noisy(1), { weights: WEIGHTS, seed: SEED });
    expect(free).toEqual(learnGate(noisy(1), WEIGHTS, SEED));
    expect(harmOf(free, noisy(2))).toBeGreaterThan(0.1);
    const safe = learnSafeGate(noisy(1), { weights: WEIGHTS, seed: SEED, harmAtMost: 0.1 });
    expect(safe.harm).toMatchObject({ atMost: 0.1, queries: 300, isStricter: true });
    expect(harmOf(safe, noisy(2))).toBeLessThan(0.1);
    const reports = holdOut(noisy(1), { weights: WEIGHTS, always: 1, seed: SEED, harmAtMost: 0.1 });
    expect(reports[0]!.harmed.gate.share).toBeLessThan(reports[0]!.harmed.always.share / 2);
  });

  it('learns the same from the same examples', () => {
    expect(learnGate(examples('a', 40), WEIGHTS, SEED)).toEqual(learnGate(examples('a', 40), WEIGHTS, SEED));
  });
});

it('a report counts harm, calls and means by hand', () => {
  const values = (gate: number, isWritten: boolean) => {
    return { never: 0.5, always: 0.4, constant: 0.5, gate, oracle: 0.8, isWritten };
  };
  const report = comparePolicies([values(0.8, true), values(0.5, false), values(0.4, true), values(0.5, true)], SEED);
  expect(report.queries).toBe(4);
  expect(report.means).toMatchObject({ never: 0.5, always: 0.4, oracle: 0.8 });
  expect(report.means.gate).toBeCloseTo(0.55, 12);
  expect(report.saved).toEqual({ queries: 1, share: 0.25 });
  // Clopper and Pearson's bounds: 1 of 4 and 4 of 4; 0 of 4 is 1 - 0.05^(1/4).
  expect(report.harmed.gate).toMatchObject({ queries: 1, share: 0.25 });
  expect(report.harmed.gate.atMost).toBeCloseTo(0.7514, 4);
  expect(report.harmed.always).toEqual({ queries: 4, share: 1, atMost: 1 });
  expect(report.harmed.constant.atMost).toBeCloseTo(1 - 0.05 ** 0.25, 10);
  expect(report.tests.map(({ against, helped, hurt }) => [against, helped, hurt])).toEqual([
    ['never', 1, 1],
    ['always', 3, 0],
    ['constant', 1, 1],
  ]);
});
