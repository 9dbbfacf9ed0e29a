import { type Progress, type ProgressTask, SILENT, withFileLock } from '../../system/index.ts';

export interface OneAtATimeOptions {
  /** What the other one does, behind "waiting for another process that". */
  what: string;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/**
 * Does work while no other process does work under the same lock, and shows that it waits where one does.
 * @param lock path of the lock, in a folder that exists
 * @throws AbortedError, ResourceError
 */
export async function oneAtATime<T>(lock: string, work: () => Promise<T>, options: OneAtATimeOptions): Promise<T> {
  const { what, signal, progress = SILENT } = options;
  let waiting: ProgressTask | undefined;
  const onWait = (holder: string) => {
    waiting = progress.task(`waiting for another process that ${what}`, undefined, 'seconds');
    waiting.note(`process ${holder}`);
  };
  const start = () => {
    waiting?.done();
    waiting = undefined;
    return work();
  };
  return withFileLock(lock, start, { signal, onWait }).finally(() => waiting?.done());
}
