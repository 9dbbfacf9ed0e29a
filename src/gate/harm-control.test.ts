import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Random } from '../system/index.ts';
import { controlHarm, fewestQueries, splitForHarm } from './harm-control.ts';
import { NEVER, type Policy, STEPS } from './policy.ts';

/** From SciPy's exact binomial tests, by reference/gate_goldens.py. */
const goldens = JSON.parse(readFileSync(new URL('goldens/harm.json', import.meta.url), 'utf8')) as {
  sequences: { total: number; limit: number; harmed: number[]; p: number[]; chosen: number }[];
};

const WEIGHTS = [0, 1];
const policyFrom = (weightFrom: number): Policy => ({ writeFrom: 0, weightFrom, ramp: 0, highest: 1 });

/** A query that is expanded from a threshold on, for better or worse. */
const query = (after: number, isHarmed: boolean) => ({ before: 1, after, values: [0.5, isHarmed ? 0.4 : 0.6] });

describe('the limit of harm', () => {
  it('tests thresholds from the most cautious on, as SciPy does, and takes the last before one fails', () => {
    const thresholds = STEPS.slice(-12).reverse();
    for (const { total, limit, harmed, p, chosen } of goldens.sequences) {
      const examples = harmed.flatMap((count, at) =>
        Array.from({ length: count - (harmed[at - 1] ?? 0) }, () => query(thresholds[at]!, true)),
      );
      while (examples.length < total) examples.push(query(0, false));
      const own = policyFrom(thresholds.at(-1)!);
      const { policy, harm } = controlHarm(examples, own, WEIGHTS, limit);
      const ended = Math.min(harmed.length, chosen + 2);
      expect(harm.tested.map((one) => one.weightFrom)).toEqual(thresholds.slice(0, ended));
      expect(harm.tested.map((one) => one.harmed)).toEqual(harmed.slice(0, ended));
      for (const [at, one] of harm.tested.entries()) expect(one.p).toBeCloseTo(p[at]!, 10);
      expect(policy).toEqual(
        chosen < 0 ? { ...own, writeFrom: NEVER, weightFrom: NEVER } : { ...own, weightFrom: thresholds[chosen] },
      );
      expect(harm).toMatchObject({ atMost: limit, queries: total, isStricter: chosen < harmed.length - 1 });
    }
  });

  it('leaves a gate that never expands as it is, and one without queries to test never expands', () => {
    const never = { ...policyFrom(NEVER), writeFrom: NEVER };
    expect(controlHarm([query(1, true)], never, WEIGHTS, 0.05)).toMatchObject({ policy: never, harm: { tested: [] } });
    expect(controlHarm([], policyFrom(0.5), WEIGHTS, 0.05).policy.weightFrom).toBe(NEVER);
    // 0.95^59 is the first power below 0.05.
    expect([fewestQueries(0.05), fewestQueries(0.1), fewestQueries(0.01)]).toEqual([59, 29, 299]);
  });

  /**
   * A population whose harm is known: the probability p of a gain is uniform over the steps, and of the queries with p, (1 - p) / 2 are
   * harmed. The risk of a threshold is the sum of that over the steps from it on.
   */
  const stepShare = 1 / STEPS.length;
  const riskFrom = (threshold: number) =>
    STEPS.filter((step) => step >= threshold).reduce((sum, step) => sum + stepShare * ((1 - step) / 2), 0);
  const draw = (random: Random, count: number) =>
    Array.from({ length: count }, () => {
      const after = STEPS[random.below(STEPS.length)]!;
      return query(after, random.uniform() < (1 - after) / 2);
    });

  it.each([0.02, 0.05, 0.1])('of %s is exceeded in 5 % of many draws at most', (limit) => {
    const [random, draws, size] = [new Random(Math.round(1000 * limit)), 1500, 300];
    let [exceeded, naively, expanding] = [0, 0, 0];
    for (let round = 0; round < draws; round++) {
      const examples = draw(random, size);
      const { policy } = controlHarm(examples, policyFrom(0), WEIGHTS, limit);
      if (riskFrom(policy.weightFrom) > limit) exceeded++;
      if (policy.weightFrom <= 1) expanding++;
      // What the limit is compared with the observed share would take.
      const shareFrom = (from: number) =>
        examples.filter(({ after, values }) => after >= from && values[1]! < values[0]!).length / size;
      if (riskFrom(STEPS.find((step) => shareFrom(step) <= limit) ?? NEVER) > limit) naively++;
    }
    // Three standard errors of a share of 5 % in so many draws.
    expect(exceeded / draws).toBeLessThan(0.05 + 3 * Math.sqrt((0.05 * 0.95) / draws));
    expect(naively / draws).toBeGreaterThan(0.2);
    // It is not safe by never expanding.
    expect(expanding / draws).toBeGreaterThan(0.95);
  });

  it('is tested on half of the queries of each collection, and not on those that are learned from', () => {
    const examples = ['a', 'b'].flatMap((collection, at) =>
      Array.from({ length: 11 + at }, (_none, number) => ({ collection, number })),
    );
    const { learning, testing } = splitForHarm(examples, 3);
    const of = (some: typeof examples, collection: string) => some.filter((one) => one.collection === collection);
    expect([of(learning, 'a'), of(testing, 'a'), of(learning, 'b'), of(testing, 'b')].map((one) => one.length)).toEqual(
      [6, 5, 6, 6],
    );
    expect(new Set([...learning, ...testing])).toEqual(new Set(examples));
    expect(splitForHarm(examples, 3)).toEqual({ learning, testing });
    expect(splitForHarm(examples, 4).testing).not.toEqual(testing);
  });
});
