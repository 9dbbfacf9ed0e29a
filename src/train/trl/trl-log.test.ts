import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { DataError } from '../../system/index.ts';
import { logNameOf, parseLogLine, parseTrainerState, readTrainerState } from './trl-log.ts';

/** What TRL 1.16.0 printed and saved in a run of two CPU processes (6 steps, an evaluation every 3). */
const recorded = (name: string) => readFile(new URL(`../goldens/trl/${name}`, import.meta.url), 'utf8');

const lines = (await recorded('printed.txt')).split('\n');

test('the metrics are found in the output', () => {
  const found = lines.map(parseLogLine).filter((figures) => figures !== undefined);
  expect(found.map(({ split }) => split)).toEqual([
    ...['train', 'train', 'train', 'dev'],
    ...['train', 'train', 'train', 'dev'],
  ]);
  expect(found[0]!.values).toMatchObject({
    ...{ loss: expect.closeTo(Math.LN2, 4), rewardChosen: 0, margin: 0, accuracy: 0, learningRate: 0.002 },
    ...{ logitChosen: expect.any(Number), entropy: expect.any(Number), tokenAccuracy: expect.any(Number) },
  });
  expect(found[3]!.values).toMatchObject({ loss: 0.7081, margin: expect.any(Number) });
  expect(found[3]!.values).not.toHaveProperty('learningRate');
  expect(lines.length).toBeGreaterThan(found.length);
});

test.each([
  ['cut in half', "{'loss': '0.6931', 'grad_norm': '2.0"],
  ['without a comma', "{'loss': '0.6931' 'grad_norm': '2.044'}"],
  ['of two processes at once', "{'loss': '0.6{'loss': '0.6931'}931'}"],
  ['nested', "{'loss': {'a': '1'}}"],
  ['no dictionary', 'loss: 0.6931'],
  ['JSON', '{"loss": 0.6931}'],
  ['empty', '{}'],
  ['the summary at the end', "{'train_runtime': '1.864', 'train_loss': '0.6716', 'epoch': '2.5'}"],
])('a line %s holds no figures', (_, line) => {
  expect(parseLogLine(line)).toBeUndefined();
});

test('numbers may be quoted or not; other values are null', () => {
  const read = (line: string) => parseLogLine(line)?.values;
  expect(read("  {'loss': 0.5, 'grad_norm': nan, 'learning_rate': '2e-05', 'epoch': 1.0}\r")).toEqual({
    ...{ loss: 0.5, gradientNorm: null, learningRate: 2e-5 },
  });
  expect(read("{'loss': 'nan', 'rewards/margins': '-inf', 'entropy': ''}")).toEqual({
    ...{ loss: null, margin: null, entropy: null },
  });
});

test('a checkpoint holds the same in full precision', async () => {
  const state = await parseTrainerState(await recorded('state-6.json'), 'state');
  const printed = lines.map(parseLogLine).filter((figures) => figures !== undefined);
  expect(state.step).toBe(6);
  expect(state.best).toMatchObject({ step: 3 });
  expect(state.history.map(({ split, step }) => [split, step])).toEqual([
    ...[1, 2, 3].map((step) => ['train', step]),
    ['dev', 3],
    ...[4, 5, 6].map((step) => ['train', step]),
    ['dev', 6],
  ]);
  for (const [index, { split, values }] of printed.entries()) {
    expect(state.history[index]!.split).toBe(split);
    for (const [name, value] of Object.entries(values)) {
      expect(Number(state.history[index]!.values[name]!.toPrecision(4)), name).toBe(value);
    }
  }
});

test("Python's NaN is null; a file that is not a state is refused by name", async () => {
  const text =
    '{"global_step": 1, "log_history": [{"loss": NaN, "grad_norm": -Infinity, "step": 1, "note": "x: NaN"}]}';
  expect(parseTrainerState(text, 'state.json').history[0]!.values).toEqual({ loss: null, gradientNorm: null });
  for (const broken of ['', '{"global_step": 1', '[]', '{"global_step": -1, "log_history": []}']) {
    expect(() => parseTrainerState(broken, 'state.json')).toThrow(DataError);
    expect(() => parseTrainerState(broken, 'state.json')).toThrow(/state\.json/);
  }
  await expect(readTrainerState(fileURLToPath(new URL('none', import.meta.url)))).rejects.toThrow(DataError);
});

test('names of metrics are mapped in both directions', () => {
  expect(logNameOf('margin', 'dpo')).toBe('rewards/margins');
  expect(logNameOf('margin', 'sft')).toBeUndefined();
  expect(logNameOf('loss', 'sft')).toBe('loss');
});
