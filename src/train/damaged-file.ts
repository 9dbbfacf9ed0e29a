import { DataError } from '../system/index.ts';

/** Makes the error of a JSON file of a training folder that is no JSON, or lacks a field. */
export function damagedFile(file: string): (cause: unknown) => DataError {
  return (cause) =>
    new DataError('is not what a training wrote here', {
      file,
      mend: 'The folder is damaged or not one of a training: name another, or remove it and train again.',
      cause,
    });
}
