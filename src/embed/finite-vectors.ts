import { DataError } from '../system/index.ts';

const SHOWN_CHARACTERS = 60;

/**
 * Refuses vectors with NaN or infinity, before they are stored or searched: they would corrupt every score that uses
 * them.
 * @param vectors row-major // [texts, dimensions]
 * @param ids the ids of the texts, if they have any
 * @throws DataError if a vector is not finite; names the text
 */
export function refuseBrokenVectors(
  vectors: Float32Array,
  texts: readonly string[],
  encoder: string,
  ids?: readonly string[],
): void {
  for (let at = 0; at < vectors.length; at++) {
    if (Number.isFinite(vectors[at])) continue;
    const row = Math.floor(at / (vectors.length / texts.length));
    const text = JSON.stringify(texts[row]!.slice(0, SHOWN_CHARACTERS));
    throw new DataError(
      `the encoder ${encoder} returned a vector with ${vectors[at]} for the text that begins ${text}`,
      {
        id: ids?.[row],
        fix: 'Run again. If the error persists, check the model or the server: NaN or infinity in a weight corrupts every vector.',
      },
    );
  }
}
