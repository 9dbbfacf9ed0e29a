import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { newStageManifest, writeStageManifest } from '../files/index.ts';
import { DataError } from '../system/index.ts';
import { combinationOf, describeCombination } from './combination.ts';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'combination-'));
  file = join(folder, 'expansions.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

const record = (about: Record<string, unknown>) =>
  writeStageManifest(file, newStageManifest({ stage: 'expansions', settings: {}, about }));
const MUGI = { strategy: 'mugi', combination: { alpha: 'mean', queryRepeats: 'characters:6' } };

it('is the published default for expansions that no manifest describes', async () => {
  for (const one of [undefined, file]) {
    expect(await combinationOf(one)).toEqual({
      ...{ alpha: 0.5, queryRepeats: 5, strategy: undefined },
      chosenBy: { alpha: 'default', queryRepeats: 'default' },
    });
  }
});

it('is what the manifest of the expansions records, unless the user says otherwise', async () => {
  await record(MUGI);
  expect(await combinationOf(file, { alpha: undefined })).toEqual({
    ...{ ...MUGI.combination, strategy: 'mugi' },
    chosenBy: { alpha: 'expansions', queryRepeats: 'expansions' },
  });
  const mixed = await combinationOf(file, { alpha: 0.3 });
  expect(mixed).toMatchObject({ alpha: 0.3, queryRepeats: 'characters:6', chosenBy: { alpha: 'given' } });
  expect(describeCombination(mixed, 'rrf')).toBe(
    'Expansions are combined with alpha 0.3 (given), query repeats characters:6 (as mugi does it).',
  );
});

it('holds for the queries file that was written with the expansions', async () => {
  await record({ ...MUGI, queriesFile: 'queries_mugi.jsonl' });
  await writeFile(join(folder, 'broken.manifest.json'), '{');
  expect(await combinationOf(join(folder, 'queries_mugi.jsonl'))).toMatchObject({ alpha: 'mean' });
  expect(await combinationOf(join(folder, 'queries_other.jsonl'))).toMatchObject({ alpha: 0.5 });
});

it('is refused if the manifest holds one that this version does not know', async () => {
  for (const combination of [{ alpha: 'product', queryRepeats: 5 }, { alpha: 2, queryRepeats: 5 }, 'mean']) {
    await record({ combination });
    const error = await combinationOf(file).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect(String(error)).toContain('unknown combination');
  }
});
