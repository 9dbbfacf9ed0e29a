import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PairRecord } from './alignment-records.ts';
import { readPairs, writePairs } from './preference-pairs.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pairs-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function fileOf(...rows: unknown[]): Promise<string> {
  const file = join(folder, 'some-pairs.jsonl');
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file;
}

const turn = (role: string, content: string) => [{ role, content }];
const trl = (more: object = {}) => ({
  prompt: turn('user', 'What is a saw?'),
  chosen: turn('assistant', 'A tool that cuts.'),
  rejected: turn('assistant', 'A verb.'),
  ...more,
});
const published = {
  conversations: [{ from: 'human', value: 'What is a saw?' }],
  chosen: { from: 'gpt', value: 'A tool that cuts.' },
  rejected: { from: 'gpt', value: 'A verb.' },
};

describe('readPairs', () => {
  it('reads both layouts in the same way', async () => {
    const ours = await readPairs(await fileOf(trl()));
    const theirs = await readPairs(await fileOf(published));
    expect(ours.pairs).toEqual([{ ...trl(), id: 'some-pairs-1', queryId: 'some-pairs-1' }]);
    expect(theirs).toEqual(ours);
  });

  it('reads a JSON array, as other trainers publish their data', async () => {
    const file = join(folder, 'array.json');
    await writeFile(file, JSON.stringify([published, published], undefined, 2));
    const { pairs } = await readPairs(file);
    expect(pairs.map(({ id }) => id)).toEqual(['array-1', 'array-2']);
    expect(pairs[1]!.chosen).toEqual(turn('assistant', 'A tool that cuts.'));
  });

  it.each(['trl', 'conversations'] as const)('reads what it wrote in layout %s', async (layout) => {
    const pair: PairRecord = {
      id: 'q1:0',
      queryId: 'q1',
      prompt: [...turn('system', 'Be brief.'), ...turn('user', 'What is a saw?')] as PairRecord['prompt'],
      chosen: [{ role: 'assistant', content: 'A tool.' }],
      rejected: [{ role: 'assistant', content: 'A verb.' }],
      chosenId: 'q1#3',
      rejectedId: 'q1#0',
      chosenReward: 2,
      rejectedReward: 0.0625,
    };
    const file = join(folder, `${layout}.jsonl`);
    expect(await writePairs(file, [pair], layout)).toBe(1);
    expect((await readPairs(file)).pairs).toEqual([pair]);
    const written = JSON.parse(await readFile(file, 'utf8')) as object;
    expect('conversations' in written).toBe(layout === 'conversations');
  });

  it('skips and counts pairs that teach nothing, or refuses them', async () => {
    const file = await fileOf(
      trl({ prompt: turn('user', ' ') }),
      trl({ chosen: turn('assistant', '') }),
      trl({ rejected: turn('assistant', '\n') }),
      trl({ rejected: turn('assistant', 'A tool that cuts.') }),
      trl(),
    );
    const { pairs, skipped, examples } = await readPairs(file);
    expect(pairs.map(({ id }) => id)).toEqual(['some-pairs-5']);
    expect(skipped).toEqual({
      'empty prompt': 1,
      'empty chosen': 1,
      'empty rejected': 1,
      'chosen equals rejected': 1,
    });
    expect(examples[3]).toMatch(/some-pairs\.jsonl:4, id some-pairs-4: chosen equals rejected/);
    await expect(readPairs(file, { faults: 'refuse' })).rejects.toThrow(/:1: empty prompt/);
  });

  it('ignores the rejected side if only the chosen one is read', async () => {
    const file = await fileOf(
      trl({ chosen: turn('assistant', ' ') }),
      trl({ rejected: turn('assistant', '\n') }),
      trl({ rejected: turn('assistant', 'A tool that cuts.') }),
    );
    const { pairs, skipped } = await readPairs(file, { sides: 'chosen' });
    expect(pairs.map(({ id }) => id)).toEqual(['some-pairs-2', 'some-pairs-3']);
    expect(skipped).toMatchObject({ 'empty chosen': 1, 'empty rejected': 0, 'chosen equals rejected': 0 });
  });

  it('names the row of a JSON array, not a line', async () => {
    const file = join(folder, 'rows.json');
    const write = (second: object) => writeFile(file, JSON.stringify([published, second], undefined, 2));
    await write({ ...published, rejected: published.chosen });
    expect((await readPairs(file)).examples).toEqual([`${file}, row 2, id rows-2: chosen equals rejected`]);
    await expect(readPairs(file, { faults: 'refuse' })).rejects.toThrow(/rows\.json: row 2: chosen equals rejected/);
    await write({ ...published, chosen: { from: 'robot', value: 'x' } });
    await expect(readPairs(file)).rejects.toMatchObject({
      message: `${file}: row 2: "robot" is not a role`,
      line: undefined,
    });
  });

  it.each([
    ['an unknown role', [trl({ chosen: turn('bot', 'x') })], /:1: "bot" is not a role/],
    ['a role from an object', [trl({ chosen: turn('constructor', 'x') })], /"constructor" is not a role/],
    ['an unknown speaker', [{ ...published, chosen: { from: 'robot', value: 'x' } }], /"robot" is not a role/],
    ['a chosen side of the user', [trl({ chosen: turn('user', 'x') })], /chosen holds messages of user/],
    ['a prompt inside chosen', [trl({ chosen: [...turn('user', 'x'), ...turn('assistant', 'y')] })], /user, assistant/],
    ['a prompt of the assistant', [trl({ prompt: turn('assistant', 'x') })], /prompt ends with the assistant/],
    ['plain text', [{ prompt: 'a', chosen: 'b', rejected: 'c' }], /plain text/],
    ['two layouts in a row', [{ ...published, prompt: [] }], /both `prompt` and `conversations`/],
    ['a missing side', [{ prompt: turn('user', 'x'), chosen: turn('assistant', 'y') }], /rejected/],
    ['ids for some', [trl({ id: 'a' }), trl()], /:2: some pairs of the file have an id/],
    ['an id twice', [trl({ id: 'a' }), trl({ id: 'a' })], /:2, id "a": this pair's id occurs/],
    [
      'ids of different queries',
      [trl({ id: 'a', queryId: 'q1', chosenId: 'q1#0', rejectedId: 'q2#1' })],
      /"q2#1" is not one of query "q1"/,
    ],
    ['no object', [5], /expected object/],
  ])('refuses %s', async (_what, rows, message) => {
    await expect(readPairs(await fileOf(...rows))).rejects.toThrow(message);
  });
});
