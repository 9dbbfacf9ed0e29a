import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CacheKind, contentKey, makeFolder, withFileLock, writeDurably } from '../system/index.ts';

/** Where the vectors are kept by which models of embedding servers are told apart. */
export const PROBE_CACHE = new CacheKind({
  name: 'encoders',
  what: 'by what models of embedding servers are known again',
  format: 1,
  isSmall: true,
});

/** Least cosine of two vectors of one text by one model. The same weights on another machine, or in another batch, round otherwise. */
export const SAME_MODEL = 0.999;

const probesSchema = z.object({ probes: z.array(z.object({ id: z.string(), vector: z.array(z.number()) })) });
type Probes = z.output<typeof probesSchema>['probes'];

/**
 * Tells models behind one name apart by the vector that they give one text, so that a server may move and its vectors stay, and another
 * model of the same name is not taken for it.
 *
 * @param settings what the model is known by besides: its name, dimensions, prefixes
 * @param probe the vector of the text that every model is asked for
 * @param folder where the probes of models that were met before are kept
 * @returns a key; the same for every model that gives the same vector up to rounding
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

/** A file that is missing or damaged costs no more than to embed again. */
async function readProbes(file: string): Promise<Probes> {
  try {
    return probesSchema.parse(JSON.parse(await readFile(file, 'utf8'))).probes;
  } catch {
    return [];
  }
}

/** Of two vectors without a direction, or of different widths: 1 if they are equal, else 0. */
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
