import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GATE_DATA as DATA } from '../../test/support/small-gate.ts';
import { DataError, UsageError } from '../system/index.ts';
import { Gate } from './gate.ts';
import { readGateFile, writeGateFile } from './gate-file.ts';

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-gate-'));
  file = join(folder, 'gate.json');
});
afterAll(() => rm(folder, { recursive: true }));

describe('a gate', () => {
  it('decides before writing from the text and what is known beside it', async () => {
    await writeGateFile(file, DATA);
    const gate = await Gate.open(file);
    expect(gate.data).toEqual(DATA);
    // One word: ln 2; log-odds -2 (ln 2 - ln 4) = 2 ln 2, which is 4 to 1.
    const short = gate.before('vineyard');
    expect(short).toMatchObject({ expand: true });
    expect(short.probability).toBeCloseTo(0.8, 12);
    expect(short.reason).toBe(
      'gains outweigh losses with probability 0.80, at least 0.60; mostly because of words (0.693)',
    );
    const long = gate.before('what is the name of it');
    expect(long).toMatchObject({ expand: false });
    expect(long.reason).toMatch(
      /^gains outweigh losses with probability 0\.\d\d only, below 0\.60; mostly because of words/,
    );
    // What the caller knows counts more than the text.
    expect(gate.before('vineyard', { words: 3 }).expand).toBe(false);
  });

  it('gives a weight after writing, of its grid', () => {
    const gate = new Gate(DATA);
    // cosine 0.5: log-odds 0, calibrated to 0.5, half up the ramp from 0.25 to 0.75: half of 0.5.
    expect(gate.after('q', { cosine: 0.5 })).toMatchObject({ weight: 0.25, probability: 0.5 });
    expect(gate.after('q', { cosine: 1 }).weight).toBe(0.5);
    expect(gate.after('q', { cosine: 0.25 })).toMatchObject({ weight: 0, probability: 0 });
    expect(gate.after('q', {}).weight).toBe(0.25);
    expect(gate.after('q', { cosine: 1 }).reason).toMatch(/cosine \(1\)$/);
  });

  it('says that it never expands if it learned so', () => {
    const never = new Gate({ ...DATA, policy: { ...DATA.policy, writeFrom: 1.05 } });
    expect(never.before('vineyard').reason).toMatch(/^expansion did not pay for any query it was trained on/);
  });

  it('knows the search it was made for', () => {
    const gate = new Gate(DATA);
    const same = {
      name: 'dense',
      settings: { encoder: 'renamed', 'encoder key': 'five-1', similarity: 'dot', alpha: 0.2 },
    };
    expect(gate.compareWith(same as never)).toEqual([]);
    const other = { name: 'dense', settings: { encoder: 'six', 'encoder key': 'six-1', similarity: 'cosine' } };
    expect(gate.compareWith(other as never)).toEqual([
      'the gate was trained for another search (encoder: five, now six): its choices may be poor',
      'the gate was trained for another search (similarity: dot, now cosine): its choices may be poor',
    ]);
    const retrained = { name: 'dense', settings: { encoder: 'five', 'encoder key': 'five-2', similarity: 'dot' } };
    expect(gate.compareWith(retrained as never)[0]).toMatch(/five, now five with other weights or settings/);
    expect(() => gate.compareWith({ name: 'bm25', settings: {} })).toThrow(UsageError);
  });
});

describe('the file of a gate', () => {
  const broken: [what: string, change: object | string, message: RegExp][] = [
    ['no JSON', '{"kind":', /JSON/],
    ['another kind of file', { kind: 'tuned' }, /kind/],
    ['another format', { format: 2 }, /another version of llm-qe/],
    ['an unknown key', { extra: 1 }, /extra/],
    ['weights that do not rise', { weights: [0, 0.5, 0.25] }, /weights: do not rise/],
    ['weights without 0', { weights: [0.1, 0.5] }, /weights: do not rise/],
    [
      'an unknown feature',
      { after: { ...DATA.after, features: [{ ...DATA.after.features[0], name: '__proto__' }] } },
      /name/,
    ],
    [
      'a feature twice',
      { after: { ...DATA.after, features: [DATA.after.features[0], DATA.after.features[0]] } },
      /twice/,
    ],
    ['a feature of the future', { before: DATA.after }, /not known before writing/],
    ['a falling calibration', { after: { ...DATA.after, calibration: { x: [0, 1], y: [1, 0] } } }, /does not rise/],
    ['a calibration cut off', { after: { ...DATA.after, calibration: { x: [0, 1], y: [0] } } }, /does not rise/],
    [
      'a deviation of 0',
      { before: { ...DATA.before, features: [{ ...DATA.before.features[0], deviation: 0 }] } },
      /deviation/,
    ],
    ['a number that is none', JSON.stringify(DATA).replace('"intercept":0', '"intercept":1e999'), /intercept/],
    ['thousands of faults', { trainedOn: Array.from({ length: 5000 }, () => 1) }, /trainedOn/],
    ['deep nesting', `${'['.repeat(400_000)}`, /is not a gate/],
    ['too much', `${JSON.stringify(DATA)}${' '.repeat(2 ** 20)}`, /larger than 1048576 bytes/],
  ];
  it.each(broken)('is refused with %s', async (_what, change, message) => {
    await writeFile(file, typeof change === 'string' ? change : JSON.stringify({ ...DATA, ...change }));
    const error = await readGateFile(file).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain(file);
    expect((error as Error).message.length).toBeLessThan(1000);
  });

  it('is refused if it is missing, or a device without end', async () => {
    await expect(readGateFile(join(folder, 'none.json'))).rejects.toThrow(DataError);
    await expect(readGateFile('/dev/zero')).rejects.toThrow(DataError);
  });
});
