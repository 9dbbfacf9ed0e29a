import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { DataError, ModelError, ResourceError } from '../system/index.ts';
import { readJsonFile, readJsonFileIfThere } from './json-file.ts';

const schema = z.object({ rows: z.number() });

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-json-file-'));
  file = join(folder, 'x.json');
});
afterEach(() => rm(folder, { recursive: true }));

const broken = (cause: unknown) => new ModelError('is broken', { file, fix: 'Fix it.', cause });

it('reads a file that is there', async () => {
  await writeFile(file, '{"rows":3}');
  expect(await readJsonFile(file, schema, broken)).toEqual({ rows: 3 });
  expect(await readJsonFileIfThere(file, schema, broken)).toEqual({ rows: 3 });
});

it('says which file is missing, or gives nothing where it may be', async () => {
  await expect(readJsonFile(file, schema, broken)).rejects.toThrow(DataError);
  await expect(readJsonFile(file, schema, broken)).rejects.toThrow(`${file}: no such file`);
  expect(await readJsonFileIfThere(file, schema, broken)).toBeUndefined();
});

it.each(['{"rows":', '{"rows":"3"}'])('refuses %s with the error that the caller makes', async (text) => {
  await writeFile(file, text);
  await expect(readJsonFile(file, schema, broken)).rejects.toThrow(ModelError);
  const error = await readJsonFileIfThere(file, schema, broken).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ message: `${file}: is broken`, cause: expect.any(Error) });
});

it('does not take a folder for a missing file', async () => {
  await mkdir(file);
  await expect(readJsonFileIfThere(file, schema, broken)).rejects.toThrow(ResourceError);
});
