import type { RunState } from '../../../shapes/runs.ts';
import { visible } from '../../components/text.tsx';

const STATES: Record<RunState, string> = {
  running: 'running',
  finished: 'finished',
  stopped: 'stopped',
  unknown: 'on another machine',
};

/** The state of a run in a word and a colour. */
export function State({ run: { state, faults } }: { run: { state: RunState; faults: readonly string[] } }) {
  return (
    <span class="state" data-state={state} title={visible(faults.join('\n'))}>
      {faults.length > 0 ? 'damaged' : STATES[state]}
    </span>
  );
}

/** The address of a run's page. */
export function runAddress(name: string): string {
  return `/runs/${encodeURIComponent(name)}`;
}

/** The address of what the server knows of a run. */
export function runApi(name: string, part = ''): string {
  return `/api/runs/${encodeURIComponent(name)}${part}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(0)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function moment(milliseconds: number): string {
  return new Date(milliseconds).toLocaleString('en-GB', {
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
  });
}

export function bytes(count: number): string {
  if (count < 1000) return `${count.toFixed(0)} B`;
  if (count < 1e6) return `${(count / 1e3).toFixed(0)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(1)} GB`;
}
