import { readLines } from '../../../files/index.ts';
import { type MetricsRecord, metricsRecordSchema } from '../../../train/index.ts';
import type { Curve, TrainingCurves } from '../../shapes/runs.ts';

/** Points of a curve: a screen has no more columns. */
const MOST_POINTS = 2000;
/** More metrics than any task has, and a longer line than any of them writes: the file may be somebody else's. */
const MOST_CURVES = 60;
const LONGEST_LINE = 2 ** 16;

/** Reads the curves of a training, which may go on: a line that is half written is left for the next reading. */
export async function readCurves(file: string, signal: AbortSignal): Promise<TrainingCurves> {
  const curves = new Map<string, ThinCurve>();
  let steps = 0;
  for await (const { text } of readLines(file, { signal, maxLineBytes: LONGEST_LINE })) {
    const record = parse(text);
    if (record === undefined) continue;
    steps = Math.max(steps, record.step);
    for (const [name, value] of Object.entries(record.values)) {
      const key = `${record.split} ${name}`;
      if (!curves.has(key) && curves.size < MOST_CURVES) curves.set(key, new ThinCurve(name, record.split));
      curves.get(key)?.add(record.step, value);
    }
  }
  const all = [...curves.values()];
  return { steps, isThinned: all.some((one) => one.isThinned), curves: all.map((one) => one.curve) };
}

function parse(text: string): MetricsRecord | undefined {
  try {
    return metricsRecordSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Keeps every 2nd, 4th, 8th point as there are more, so that memory is bounded. */
class ThinCurve {
  readonly curve: Curve;
  #stride = 1;
  #seen = 0;

  constructor(name: string, split: Curve['split']) {
    this.curve = { name, split, points: [] };
  }

  get isThinned(): boolean {
    return this.#stride > 1;
  }

  add(step: number, value: number | null): void {
    if (this.#seen++ % this.#stride !== 0) return;
    const { points } = this.curve;
    points.push([step, value]);
    if (points.length < MOST_POINTS) return;
    this.curve.points = points.filter((_, at) => at % 2 === 0);
    this.#stride *= 2;
  }
}
