import { stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { cacheHome, ResourceError } from '../../system/index.ts';
import type { RecipeCheck } from '../run/recipe-checks.ts';

/** The bytes that a folder will need. */
interface Wanted {
  place: string;
  bytes: number;
}

/**
 * Checks whether there is space for the stages' outputs in the run's folder, and for the models and their copies in the
 * cache. Unknown sizes count as 0.
 */
export function diskChecks(folder: string, { stages, files }: { stages: number; files: number }): RecipeCheck[] {
  const wanted = [
    { place: resolve(folder), bytes: stages },
    { place: resolve(cacheHome()), bytes: files },
  ];
  return [{ input: 'disk', find: async () => checkRoom(wanted) }];
}

/** @throws ResourceError naming each disk that is too small */
async function checkRoom(wanted: readonly Wanted[]): Promise<string> {
  const disks = new Map<number, { places: string[]; bytes: number; free: number }>();
  for (const { place, bytes } of wanted) {
    const there = await nearestThere(place);
    const { dev } = await stat(there);
    const { bavail, bsize } = await statfs(there);
    const disk = disks.get(dev) ?? { places: [], bytes: 0, free: bavail * bsize };
    disks.set(dev, { ...disk, places: [...disk.places, place], bytes: disk.bytes + bytes });
  }
  const described = [...disks.values()].map((disk) => ({ ...disk, words: describe(disk) }));
  const small = described.filter(({ bytes, free }) => bytes > free);
  if (small.length === 0) return described.map(({ words }) => words).join('; ');
  throw new ResourceError(`not enough disk space: ${small.map(({ words }) => words).join('; ')}`, {
    fix: 'Free some space, or use another folder (--out; LLM_QE_HOME for models and their copies).',
  });
}

function describe({ places, bytes, free }: { places: readonly string[]; bytes: number; free: number }): string {
  const gigabytes = (count: number) => `${(count / 1e9).toFixed(1)} GB`;
  return `${places.join(' and ')}: ${gigabytes(bytes)} at most, ${gigabytes(free)} free`;
}

/** The nearest parent folder that exists. */
async function nearestThere(place: string): Promise<string> {
  for (let at = place; ; at = dirname(at)) {
    const isThere = await stat(at).then(
      () => true,
      () => false,
    );
    if (isThere || dirname(at) === at) return at;
  }
}
