/**
 * Exact search over vectors of 8 bits. A document's vector is its whole numbers times its scale.
 *
 * @param {Float32Array} query [dimensions]
 * @param {{ numbers: Int8Array, scales: Float32Array }} vectors [documents, dimensions] and [documents]
 * @param {number} count number of documents to return
 * @returns {{ row: number, score: number }[]} the best first; of equal ones the earlier first
 */
export function searchVectors(query, { numbers, scales }, count) {
  const dimensions = query.length;
  const best = [];
  for (let row = 0; row < scales.length; row++) {
    let sum = 0;
    for (let at = 0, from = row * dimensions; at < dimensions; at++) sum += query[at] * numbers[from + at];
    const score = sum * scales[row];
    if (best.length === count && score <= best[count - 1].score) continue;
    let place = best.length;
    while (place > 0 && best[place - 1].score < score) place--;
    best.splice(place, 0, { row, score });
    if (best.length > count) best.pop();
  }
  return best;
}
