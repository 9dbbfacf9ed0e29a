import type { AlignmentPlan } from '../pipeline/index.ts';
import { formatTable } from './table.ts';

/** Prints what an alignment would need. */
export function printPlan(
  { recipe, recipeHash, inputs, files, stages, total, rates }: AlignmentPlan,
  say: (line: string) => void,
) {
  say(`recipe ${recipe}, hash ${recipeHash?.slice(0, 16) ?? 'unknown until all inputs are ready'}`);
  for (const { input, state, detail } of inputs) say(`${state.padEnd(8)}  ${input}: ${detail}`);
  say('');
  const isTrained = stages.some(({ memory }) => memory !== undefined);
  const rows = stages.map(({ stage, round, state, work, tokens, bytes, seconds, memory }) => [
    ...[round === undefined ? stage : `round ${round}: ${stage}`, state, work],
    ...[tokens === 0 ? '' : number(tokens), size(bytes), duration(seconds)],
    ...(isTrained ? [memory === undefined ? '' : size(memory)] : []),
  ]);
  const columns = ['stage', 'state', 'work', 'max. tokens', 'disk', 'time', ...(isTrained ? ['memory'] : [])];
  say(formatTable(columns, rows));
  if (files.length > 0) {
    say('');
    const kept = files.map(({ file, state, bytes }) => [file, state, size(bytes)]);
    say(formatTable(['models and their copies', 'state', 'disk'], kept));
  }
  say('');
  say(`total: at most ${number(total.tokens)} tokens, ${size(total.bytes)} of disk, ${duration(total.seconds)}`);
  if (total.unknown.length > 0) say(`not included, because unknown: ${total.unknown.join(', ')}`);
  const rate = (name: keyof typeof rates) => `${number(rates[name].tokensPerSecond)} (${rates[name].source})`;
  say(
    `tokens per second: ${rate('generation')} by servers, ${rate('embedded')} by the embedded runtime, ${rate('training')} in training${isTrained ? `, ${rate('retriever')} in training of the encoder` : ''}`,
  );
}

function number(value: number | null): string {
  return value === null ? 'unknown' : value.toLocaleString('en-US', { maximumSignificantDigits: value < 100 ? 2 : 21 });
}

export function size(bytes: number | null): string {
  if (bytes === null) return 'unknown';
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

export function duration(seconds: number | null): string {
  if (seconds === null) return 'unknown';
  return seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
