import { readdir } from 'node:fs/promises';
import { UsageError } from '../system/index.ts';
import { ENCODING, type IndexSettings, WRITE_LOCK } from './manifest.ts';

/** @throws UsageError if an index was made with other settings */
export function refuseOtherSettings(folder: string, known: IndexSettings, given: IndexSettings): void {
  const words = ({ retriever, passages, analyzer, fields }: IndexSettings) =>
    `--retriever ${retriever} --analyzer ${analyzer} --fields ${fields}${passages === undefined ? '' : ` --passages ${passages}`}`;
  if (words(known) === words(given)) return;
  throw new UsageError(`there is an index with other settings: ${words(known)}`, {
    file: folder,
    fix: 'Pass the same ones, or build it in another folder.',
  });
}

/** @throws UsageError if a folder for a new index holds anything but what an interrupted change left */
export async function refuseOtherFiles(folder: string): Promise<void> {
  const others = (await readdir(folder)).filter(
    (name) => name !== ENCODING && !name.startsWith(WRITE_LOCK) && !name.endsWith('.partial'),
  );
  if (others.length === 0) return;
  throw new UsageError(`the folder holds something else (${others[0]})`, {
    file: folder,
    fix: 'Choose a folder that is empty or does not exist.',
  });
}
