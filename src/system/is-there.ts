import { access } from 'node:fs/promises';

/** Whether a file or folder is there and may be seen. For a file that is then read, rather read it and look at the error. */
export function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
