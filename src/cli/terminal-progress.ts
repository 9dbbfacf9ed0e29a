import type { Progress, ProgressTask } from '../system/index.ts';
import { printable } from './printable.ts';

const REDRAW_MILLISECONDS = 100;
const LOG_MILLISECONDS = 5000;
/** A rate measured over less time than this is not shown. */
const LEAST_SECONDS = 0.2;
/** Width of a terminal that reports none, or 0. */
const USUAL_COLUMNS = 100;

interface Stream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

/**
 * Shows progress on a terminal: one line, redrawn, for the newest unfinished task, with its rate and the time left. If
 * the stream is not a terminal (a file, CI), a line is printed every five seconds instead. A finished task leaves one line.
 */
export class TerminalProgress implements Progress {
  readonly #stream: Stream;
  readonly #now: () => number;
  readonly #running: RunningTask[] = [];
  #drawnAt = Number.NEGATIVE_INFINITY;
  #lineIsDrawn = false;

  constructor(stream: Stream = process.stderr, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
  }

  task(label: string, total: number | undefined, unit: string): ProgressTask {
    const started = this.#now();
    const task: RunningTask = { label, total, unit, count: 0, skipped: 0, started, text: '' };
    this.#running.push(task);
    let ended = false;
    return {
      advance: (units = 1) => {
        task.count += units;
        this.#draw();
      },
      skip: (units) => {
        task.count += units;
        task.skipped += units;
      },
      note: (text) => {
        task.text = text;
        this.#draw();
      },
      done: (note) => {
        if (ended) return;
        ended = true;
        this.#running.splice(this.#running.indexOf(task), 1);
        this.#finish(task, note);
      },
    };
  }

  /** Prints a permanent line above the live one. */
  print(line: string): void {
    this.#clear();
    this.#stream.write(`${line}\n`);
  }

  warn(line: string): void {
    this.print(printable(`warning: ${line}`));
  }

  /** Clears the live line and forgets all unfinished tasks. */
  close(): void {
    this.#clear();
    this.#running.length = 0;
  }

  #draw(): void {
    const task = this.#running.at(-1);
    const now = this.#now();
    const pause = this.#stream.isTTY ? REDRAW_MILLISECONDS : LOG_MILLISECONDS;
    if (task === undefined || now - Math.max(this.#drawnAt, this.#stream.isTTY ? 0 : task.started) < pause) return;
    this.#drawnAt = now;
    const line = describeTask(task, now);
    if (!this.#stream.isTTY) {
      this.#stream.write(`${line}\n`);
      return;
    }
    this.#stream.write(`\r\u001b[K${line.slice(0, Math.max(20, (this.#stream.columns || USUAL_COLUMNS) - 1))}`);
    this.#lineIsDrawn = true;
  }

  #finish(task: RunningTask, note: string | undefined): void {
    const seconds = (this.#now() - task.started) / 1000;
    const before = task.skipped > 0 ? ` (${task.skipped.toLocaleString('en-US')} from before)` : '';
    const counted = isUncounted(task) ? '' : `${formatCount(task.count, task.unit)}${before} in `;
    const text = note ?? task.text;
    this.print(`  ${task.label}: ${counted}${formatSeconds(seconds)}${text === '' ? '' : `, ${text}`}`);
  }

  #clear(): void {
    if (this.#lineIsDrawn) this.#stream.write('\r\u001b[K');
    this.#lineIsDrawn = false;
  }
}

interface RunningTask {
  label: string;
  total: number | undefined;
  unit: string;
  count: number;
  /** How many of them an earlier run had finished. */
  skipped: number;
  started: number;
  text: string;
}

function describeTask({ label, total, unit, count, skipped, started, text }: RunningTask, now: number): string {
  const seconds = (now - started) / 1000;
  const rate = seconds >= LEAST_SECONDS ? (count - skipped) / seconds : 0;
  const parts = [
    `  ${label}: ${isUncounted({ count, total }) ? formatSeconds(seconds) : formatCount(count, unit, total)}`,
  ];
  if (total !== undefined && total > 0) parts.push(`${Math.floor((100 * count) / total)} %`);
  if (rate > 0) parts.push(describeRate(rate, unit));
  if (total !== undefined && rate > 0 && count < total) parts.push(`${formatSeconds((total - count) / rate)} left`);
  if (text !== '') parts.push(text);
  return parts.join('  ');
}

/** A wait counts nothing: only its time is shown. */
function isUncounted({ count, total }: Pick<RunningTask, 'count' | 'total'>): boolean {
  return total === undefined && count === 0;
}

/** Describes slow work by the time per unit: `24 s each` says more than `0 steps/s`. */
function describeRate(rate: number, unit: string): string {
  if (rate < 0.5 && unit !== 'bytes') return `${formatSeconds(1 / rate)} each`;
  return `${formatCount(rate < 10 ? Number(rate.toFixed(1)) : Math.round(rate), unit)}/s`;
}

function formatCount(count: number, unit: string, total?: number): string {
  if (unit === 'bytes') {
    const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
    return total === undefined ? `${megabytes(count)} MB` : `${megabytes(count)} of ${megabytes(total)} MB`;
  }
  const number = count.toLocaleString('en-US');
  return total === undefined ? `${number} ${unit}` : `${number} of ${total.toLocaleString('en-US')} ${unit}`;
}

/** `4.2 s`, `2:05 min`, `3:12 h`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`;
  return `${Math.floor(seconds / 3600)}:${two((seconds % 3600) / 60)} h`;
}
