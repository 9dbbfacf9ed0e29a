import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Returns this package's version from its package.json, the only place that holds it. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version;
}

function packageRoot(): string {
  let place = new URL('../../package.json', import.meta.url);
  while (!existsSync(place) && place.pathname !== '/package.json') place = new URL('../package.json', place);
  return fileURLToPath(new URL('.', place));
}

/**
 * Returns the commit of a checkout; undefined for an installed package. Files that were changed since are not noticed.
 * @param root the folder of package.json
 */
export function packageCommit(root = packageRoot()): string | undefined {
  try {
    const own = join(root, '.git');
    const pointer = /^gitdir: (.+)/.exec(read(own) ?? '')?.[1];
    const folder = pointer === undefined ? own : resolve(root, pointer);
    const head = read(join(folder, 'HEAD'))!;
    const name = /^ref: (\S+)/.exec(head)?.[1];
    const commit = name === undefined ? head : commitOf(name, folder);
    return /^[0-9a-f]{40,64}$/.exec(commit.trim())?.[0];
  } catch {
    return undefined;
  }
}

/** A worktree has a folder of its own; the branches are in the common one. */
function commitOf(name: string, folder: string): string {
  const common = resolve(folder, read(join(folder, 'commondir'))?.trim() ?? '.');
  const loose = read(join(folder, name)) ?? read(join(common, name));
  if (loose !== undefined) return loose;
  const packed = read(join(common, 'packed-refs')) ?? '';
  return packed
    .split('\n')
    .find((line) => line.endsWith(` ${name}`))!
    .split(' ')[0]!;
}

/** Returns the text of a file; undefined if there is no such file. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
