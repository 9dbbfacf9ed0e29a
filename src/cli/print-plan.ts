import type { AlignmentPlan } from '../pipeline/index.ts';
import { formatTable } from './table.ts';

/** Prints what an alignment would take. */
export function printPlan(
  { recipe, recipeHash, inputs, stages, total, rates }: AlignmentPlan,
  say: (line: string) => void,
) {
  say(`recipe ${recipe}, hash ${recipeHash?.slice(0, 16) ?? 'not known before all inputs are ready'}`);
  for (const { input, state, detail } of inputs) say(`${state.padEnd(8)}  ${input}: ${detail}`);
  say('');
  const rows = stages.map(({ stage, state, work, tokens, bytes, seconds }) => [
    stage,
    state,
    work,
    tokens === 0 ? '' : tokens.toLocaleString('en-US'),
    size(bytes),
    duration(seconds),
  ]);
  say(formatTable(['stage', 'state', 'work', 'tokens at most', 'disk', 'time'], rows));
  say('');
  say(
    `to do: at most ${total.tokens.toLocaleString('en-US')} tokens, ${size(total.bytes)} of disk, ${duration(total.seconds)}`,
  );
  say(`at ${rates.generation} tokens/s written and ${rates.training} trained on (${rates.source})`);
}

function size(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown';
  return seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
