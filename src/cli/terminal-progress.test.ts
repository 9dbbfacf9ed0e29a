import { describe, expect, it } from 'vitest';
import { formatSeconds, TerminalProgress } from './terminal-progress.ts';

function recorder(isTTY: boolean) {
  const written: string[] = [];
  let now = 0;
  const stream = { write: (text: string) => written.push(text), isTTY, columns: 120 };
  return { written, progress: new TerminalProgress(stream, () => now), wait: (ms: number) => (now += ms) };
}

describe('terminal progress', () => {
  it('redraws one line with rate and time left, and leaves a line when a task is done', () => {
    const { written, progress, wait } = recorder(true);
    const task = progress.task('encoding documents', 1000, 'texts');
    wait(2000);
    task.advance(250);
    expect(written.at(-1)).toBe('\r\u001b[K  encoding documents: 250 of 1,000 texts  25 %  125 texts/s  6.0 s left');
    wait(10);
    task.advance(250);
    expect(written).toHaveLength(1);
    wait(1990);
    task.advance(500);
    task.done('2 shards');
    expect(written.at(-1)).toBe('  encoding documents: 1,000 texts in 4.0 s, 2 shards\n');
  });

  it('shows the time alone of a task that counts nothing', () => {
    const { written, progress, wait } = recorder(true);
    const task = progress.task('waiting for another process', undefined, 'seconds');
    wait(2000);
    task.note('process 7');
    expect(written.at(-1)).toBe('\r\u001b[K  waiting for another process: 2.0 s  process 7');
    wait(106_000);
    task.done();
    expect(written.at(-1)).toBe('  waiting for another process: 1:48 min, process 7\n');
  });

  it('prints a complete line every five seconds if the stream is not a terminal', () => {
    const { written, progress, wait } = recorder(false);
    const task = progress.task('writing expansions', 10, 'passages');
    for (let i = 0; i < 6; i++) {
      wait(1000);
      task.advance();
    }
    expect(written).toEqual(['  writing expansions: 5 of 10 passages  50 %  1 passages/s  5.0 s left\n']);
  });

  it('shows the time per unit for slow work', () => {
    const { written, progress, wait } = recorder(true);
    const task = progress.task('training', 100, 'steps');
    wait(50_000);
    task.advance(2);
    expect(written.at(-1)).toContain('training: 2 of 100 steps  2 %  25 s each  40:50 min left');
  });

  it('shows the speed of the current run, without reused units', () => {
    const { written, progress, wait } = recorder(true);
    const task = progress.task('encoding documents', 1000, 'texts');
    task.skip(600);
    wait(2000);
    task.advance(100);
    expect(written.at(-1)).toContain('700 of 1,000 texts  70 %  50 texts/s  6.0 s left');
    task.done();
    expect(written.at(-1)).toBe('  encoding documents: 700 texts (600 from before) in 2.0 s\n');
  });

  it('shows no speed for work that took no time', () => {
    const { written, progress, wait } = recorder(true);
    const task = progress.task('reading', 1000, 'texts');
    wait(150);
    task.advance(999);
    expect(written.at(-1)).toBe('\r\u001b[K  reading: 999 of 1,000 texts  99 %');
  });

  it('treats a width of 0 as unknown', () => {
    const written: string[] = [];
    const progress = new TerminalProgress({ write: (text) => written.push(text), isTTY: true, columns: 0 }, () => 500);
    progress.task('encoding the documents of a corpus', 1000, 'texts').advance(1);
    expect(written.at(-1)).toContain('1 of 1,000 texts');
  });

  it('formats times', () => {
    expect([0.42, 12.3, 125, 3725].map(formatSeconds)).toEqual(['0.4 s', '12 s', '2:05 min', '1:02 h']);
  });
});
