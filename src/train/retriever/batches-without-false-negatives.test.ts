import { describe, expect, test } from 'vitest';
import { planContrastiveBatch } from './contrastive-batch.ts';
import { DistinctBatches } from './distinct-batches.ts';
import { idKey, lossInputs } from './loss-inputs.ts';
import type { ExampleDocument, RetrieverExample } from './retriever-example.ts';

const document = (key: string, id?: string): ExampleDocument => ({ key, id, tokens: Int32Array.of(1, 2) });

function example(id: string, more: Partial<RetrieverExample> = {}): RetrieverExample {
  const positives = more.positives ?? [document(`+${id}`)];
  const judged = positives.flatMap((one) => [one.key, ...(one.id === undefined ? [] : [idKey(one.id)])]);
  const texts = { query: Int32Array.of(1, Number(id), 2), expansions: [], joined: undefined };
  return { id, queryKey: id, ...texts, positives, negatives: [document(`-${id}`)], judged, ...more };
}

const settings = { method: 'infonce', querySide: 'query', alpha: 0.5, groupSize: 2, teacherTemperature: 1 } as const;

/** Which documents may count against which query, by their keys. */
function candidates(examples: readonly RetrieverExample[]): Record<string, string[]> {
  const batch = planContrastiveBatch(examples, settings, 3);
  const { values, negatives } = lossInputs(batch, { texts: 9, total: examples.length }, settings);
  const bias = values.bias!.data;
  const width = batch.documents.length;
  const found = batch.queries.map(({ example: { id }, target }, row): [string, string[]] => [
    id,
    batch.documents.filter((_one, at) => at !== target && bias[row * width + at] === 0).map(({ key }) => key),
  ]);
  expect(negatives).toBe(found.flatMap(([, keys]) => keys).length);
  return Object.fromEntries(found.map(([id, keys]) => [id, keys.sort()]));
}

describe('what is relevant to a query never counts as its negative', () => {
  test('every other document of the batch does', () => {
    expect(candidates([example('1'), example('2')])).toEqual({ 1: ['+2', '-1', '-2'], 2: ['+1', '-1', '-2'] });
  });

  test('nor an equal text that another row brings', () => {
    const twin = example('2', { positives: [document('+1')] });
    expect(candidates([example('1'), twin])).toEqual({ 1: ['-1', '-2'], 2: ['-1', '-2'] });
    const against = example('2', { negatives: [document('+1')] });
    expect(candidates([example('1'), against])).toEqual({ 1: ['+2', '-1'], 2: ['+1', '-1'] });
  });

  test('nor what is judged by id, whatever its text', () => {
    const one = example('1', { judged: ['+1', idKey('d7')] });
    expect(candidates([one, example('2', { positives: [document('+2', 'd7')] })])[1]).toEqual(['-1', '-2']);
  });

  test('nor the positives of the query that are not in its group', () => {
    const one = example('1', { positives: [document('+1'), document('+2')] });
    const found = candidates([one, example('2'), example('3', { positives: [document('+1')] })]);
    expect(found[1]).toEqual(['-1', '-2', '-3'].concat(found[1]!.includes('+3') ? ['+3'] : []).sort());
  });
});

test('negatives, positive and side are drawn anew for each seed, and alike for the same one', () => {
  const texts = { expansions: [Int32Array.of(7)], joined: Int32Array.of(8) };
  const many = example('1', {
    ...texts,
    positives: Array.from({ length: 5 }, (_, at) => document(`+${at}`)),
    negatives: Array.from({ length: 5 }, (_, at) => document(`-${at}`)),
  });
  const draw = (seed: number | undefined) => {
    const plan = planContrastiveBatch([many], { ...settings, querySide: 'mixed' }, seed);
    return JSON.stringify([plan.documents.map(({ key }) => key), plan.queryTexts.map(String)]);
  };
  expect(draw(1)).toBe(draw(1));
  expect(new Set(Array.from({ length: 40 }, (_, seed) => draw(seed))).size).toBeGreaterThan(15);
  expect(JSON.parse(draw(undefined))[0]).toEqual(['+0', '-0']);
});

describe('batches without duplicates', () => {
  const rows = Array.from({ length: 24 }, (_, at) =>
    example(String(at), at % 6 === 0 ? { positives: [document('shared')] } : at % 6 === 1 ? { queryKey: 'same' } : {}),
  );
  const order = Uint32Array.from(rows.keys());
  const clashes = (arranged: Uint32Array, size: number) => {
    let count = 0;
    for (let start = 0; start < arranged.length; start += size) {
      const batch = [...arranged.subarray(start, start + size)].map((at) => rows[at]!);
      const texts = batch.flatMap(({ queryKey, positives, negatives }) => [
        `q${queryKey}`,
        ...[...positives, ...negatives].map(({ key }) => key),
      ]);
      count += texts.length - new Set(texts).size;
    }
    return count;
  };

  test('hold every row once, and no text twice', () => {
    const distinct = new DistinctBatches(rows);
    expect(clashes(order, 6)).toBe(0);
    const sorted = Uint32Array.from([...rows.keys()].sort((a, b) => (a % 6) - (b % 6) || a - b));
    expect(clashes(sorted, 6)).toBeGreaterThan(0);
    const arranged = distinct.arrange(sorted, 6);
    expect([...arranged].sort((a, b) => a - b)).toEqual([...order]);
    expect([clashes(arranged, 6), distinct.fallbacks]).toEqual([0, 0]);
    expect(distinct.arrange(sorted, 6)).toEqual(arranged);
  });

  test('fall back where there is no way out, and say so', () => {
    const distinct = new DistinctBatches(rows);
    const arranged = distinct.arrange(order, 12);
    expect([...arranged].sort((a, b) => a - b)).toEqual([...order]);
    expect(distinct.fallbacks).toBeGreaterThan(0);
    expect(clashes(arranged, 12)).toBe(distinct.fallbacks);
  });
});
