import { exitInOrder, systemFault } from '../system/index.ts';

let isOutlived = false;

/** Lets the process go on when stdout cannot be written any more: for servers, whose output is a log. */
export function outliveOutput(): void {
  isOutlived = true;
}

/**
 * Handles output that cannot be written, until the process ends. If the reader of stdout has closed it (`| head -1`),
 * the process exits with code 0; any other fault of stdout, such as a full disk, exits with an error, unless {@link outliveOutput} was called. Faults of stderr
 * are ignored: there is no other place to report them.
 */
export function guardOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isOutlived) return;
    if (error.code === 'EPIPE') return void exitInOrder(0);
    const known = systemFault(error, 'stdout');
    const fix = known instanceof Error && 'fix' in known ? `${known.message}\n  ${known.fix}` : error.message;
    process.stderr.write(`error: ${fix}\n`);
    void exitInOrder(1);
  });
  process.stderr.on('error', () => {});
}
