import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CacheKind, contentKey, makeFolder, withFileLock, writeDurably } from '../system/index.ts';

/** The cache of the probe vectors that tell models of embedding servers apart. */
export const PROBE_CACHE = new CacheKind({
  name: 'encoders',
  what: 'vectors by which models of embedding servers are recognised',
  format: 1,
  isSmall: true,
});

/**
 * The minimum cosine of two vectors of one text from one model. The same weights give other rounding on another machine
 * or in another batch.
 */
export const SAME_MODEL = 0.999;

const probesSchema = z.object({ probes: z.array(z.object({ id: z.string(), vector: z.array(z.number()) })) });
type Probes = z.output<typeof probesSchema>['probes'];

/**
 * Tells models with the same name apart by their vectors of one text. So a server may move without losing its vectors,
 * and another model with the same name is not mistaken for it.
 *
 * @param settings the other properties of the model: its name, dimensions, prefixes
 * @param probe the vector of the text that every model encodes
 * @param folder the folder with the probes of known models
 * @returns a key, equal for all models that give the same vector up to rounding
 */
export async function identifyModel(settings: object, probe: Float32Array, folder: string): Promise<string> {
  await makeFolder(folder);
  const file = join(folder, `${contentKey(settings).slice(0, 32)}.json`);
  return withFileLock(`${file}.lock`, async () => {
    const probes = await readProbes(file);
    const known = probes.find(({ vector }) => cosine(vector, probe) >= SAME_MODEL);
    if (known !== undefined) return known.id;
    const id = contentKey([...probe]);
    await writeDurably(file, `${JSON.stringify({ probes: [...probes, { id, vector: [...probe] }] })}\n`);
    return id;
  });
}

/** Reads the known probes. If the file is missing or damaged, texts are merely embedded again. */
async function readProbes(file: string): Promise<Probes> {
  try {
    return probesSchema.parse(JSON.parse(await readFile(file, 'utf8'))).probes;
  } catch {
    return [];
  }
}

/** Returns the cosine of two vectors. For zero vectors, or different widths: 1 if they are equal, else 0. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return 0;
  let [product, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    product += a[i]! * b[i]!;
    ofA += a[i]! ** 2;
    ofB += b[i]! ** 2;
  }
  if (ofA === 0 || ofB === 0) return ofA === ofB ? 1 : 0;
  return product / Math.sqrt(ofA * ofB);
}
