import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { DataError, systemFault } from '../system/index.ts';

/** Reads a small JSON file of a training folder. @throws DataError where it is missing, no JSON, or lacks a field */
export async function readJsonFile<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  const text = await readFile(file, 'utf8').catch((error) => {
    throw systemFault(error, file);
  });
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new DataError('is not what a training wrote here', {
      file,
      mend: 'The folder is damaged or not one of a training: name another, or remove it and train again.',
      cause,
    });
  }
}
