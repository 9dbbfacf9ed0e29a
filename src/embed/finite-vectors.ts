import { DataError } from '../system/index.ts';

const SHOWN_CHARACTERS = 60;

/**
 * Refuses vectors with NaN or an infinite number, before anything keeps them or searches with them: each would spoil every score that
 * it takes part in.
 * @param vectors row-major // [texts, dimensions]
 * @param ids of the texts, if they have any
 * @throws DataError naming the text
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
    throw new DataError(`the encoder ${encoder} gave a vector with ${vectors[at]} for the text that begins ${text}`, {
      id: ids?.[row],
      fix: 'Ask again; if it comes back, look at the model or the server: NaN or infinity in a weight spoils every text.',
    });
  }
}
