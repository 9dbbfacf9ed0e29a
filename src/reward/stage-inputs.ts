import { z } from 'zod';
import { readStageManifest, type StageManifest } from '../files/index.ts';
import { DataError } from '../system/index.ts';

/** What the manifest beside a file of candidates tells of it; of a file without one, nothing. */
export interface CandidatePlan {
  /** Queries that candidates were asked for. */
  queries: number | undefined;
  /** Candidates of each. */
  perQuery: number | undefined;
}

const asked = z.object({ queries: z.int() });
const sampled = z.object({ samples: z.int(), temperatures: z.array(z.number()) });

/** @throws DataError for candidates that are not finished */
export async function readCandidatePlan(file: string): Promise<CandidatePlan> {
  const manifest = await readFinishedManifest(file);
  const { samples, temperatures } = sampled.safeParse(manifest?.settings).data ?? {};
  return {
    queries: asked.safeParse(manifest?.result).data?.queries,
    perQuery: samples && temperatures && samples * temperatures.length,
  };
}

/**
 * The manifest of a file that another command has finished. A file without one was made elsewhere, and is taken as it is.
 *
 * @throws DataError for a file that still grows, or was left so
 */
export async function readFinishedManifest(file: string): Promise<StageManifest | undefined> {
  const manifest = await readStageManifest(file);
  if (manifest === undefined || manifest.result !== undefined) return manifest;
  throw new DataError('the file is not finished, as its manifest says', { file, fix: fixOf(manifest.stage) });
}

/** @param stage the command that makes the file */
export function fixOf(stage: string): string {
  return `Run the same \`llm-qe ${stage}\` command again: it goes on where it stopped.`;
}
