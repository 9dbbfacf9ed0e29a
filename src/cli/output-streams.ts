import { exitInOrder, systemFault } from '../system/index.ts';

/**
 * What becomes of the process when its output cannot be written. A reader that has seen enough (`| head -1`) ends it in
 * peace; a full disk under stdout ends it with an error. Without stderr nobody can be told, and the work goes on.
 * The errors arrive some time after the write, so this holds until the process ends.
 */
export function guardOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return void exitInOrder(0);
    const known = systemFault(error, 'stdout');
    const fix = known instanceof Error && 'fix' in known ? `${known.message}\n  ${known.fix}` : error.message;
    process.stderr.write(`error: ${fix}\n`);
    void exitInOrder(1);
  });
  process.stderr.on('error', () => {});
}
