import { z } from 'zod';
import { readStageManifest, type StageManifest } from '../files/index.ts';
import { DataError } from '../system/index.ts';

/** Facts about a file of candidates from its manifest; all undefined if there is no manifest. */
export interface CandidatePlan {
  /** Number of queries for which candidates were requested. */
  queries: number | undefined;
  /** Number of candidates per query. */
  perQuery: number | undefined;
}

const asked = z.object({ queries: z.int() });
const sampled = z.object({ samples: z.int(), temperatures: z.array(z.number()) });

/** @throws DataError if the candidates are not finished */
export async function readCandidatePlan(file: string): Promise<CandidatePlan> {
  const manifest = await readFinishedManifest(file);
  const { samples, temperatures } = sampled.safeParse(manifest?.settings).data ?? {};
  return {
    queries: asked.safeParse(manifest?.result).data?.queries,
    perQuery: samples && temperatures && samples * temperatures.length,
  };
}

/**
 * Reads the manifest of a file that another command has finished. A file without a manifest was made elsewhere and is
 * accepted.
 *
 * @throws DataError if the file is still being written, or was left incomplete
 */
export async function readFinishedManifest(file: string): Promise<StageManifest | undefined> {
  const manifest = await readStageManifest(file);
  if (manifest === undefined || manifest.result !== undefined) return manifest;
  throw new DataError('the file is not finished, according to its manifest', { file, fix: fixOf(manifest.stage) });
}

/** @param stage the command that makes the file */
export function fixOf(stage: string): string {
  return `Run the same \`llm-qe ${stage}\` command again. It resumes where it stopped.`;
}
