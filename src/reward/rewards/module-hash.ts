import { readFile } from 'node:fs/promises';
import { dirname, extname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contentKey, DataError, sha256, systemFault } from '../../system/index.ts';

/** More files than a reward needs: beyond this limit, something unintended is being read. */
const MOST_FILES = 1000;

/** Matches file names in `import`, `export ... from`, `import()` and `require()`. */
const IMPORTS = /(?:\bfrom|\bimport|\brequire)\s*\(?\s*(["'])((?:\.{1,2}\/|file:)[^"'\n]*)\1/g;

/**
 * Computes the content key of a JavaScript module and of everything it imports by a relative path, at any depth. The
 * key changes if one of these files changes, but not if they move together. No code is run. Packages, and files that a
 * module reads while it runs, are not included.
 *
 * @throws DataError if the module does not exist or has more than a thousand files
 */
export async function hashModule(file: string): Promise<string> {
  const root = resolve(file);
  const hashes = new Map<string, string>();
  const waiting = [root];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (hashes.has(path)) continue;
    if (hashes.size >= MOST_FILES) {
      throw new DataError(`the module imports more than ${MOST_FILES} files`, {
        file,
        fix: 'Import a package instead of its files.',
      });
    }
    const source = await readSource(path, path === root);
    if (source === undefined) continue;
    hashes.set(path, sha256(source));
    if (isModule(path)) waiting.push(...importsOf(source.toString('utf8'), path));
  }
  const nameOf = (path: string) => (path === root ? '' : relative(dirname(root), path).replaceAll('\\', '/'));
  const named = [...hashes].map(([path, hash]): [string, string] => [nameOf(path), hash]);
  return contentKey(named.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * A name in a comment or string may look like an import, so a missing file is ignored; loading detects missing files.
 */
async function readSource(path: string, isRoot: boolean): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (!isRoot) return undefined;
    throw systemFault(error, path);
  }
}

function isModule(path: string): boolean {
  return /^\.[mc]?[jt]s$/.test(extname(path));
}

function importsOf(source: string, path: string): string[] {
  return [...source.matchAll(IMPORTS)].flatMap(([, , name]) => {
    if (!name!.startsWith('file:')) return [resolve(dirname(path), name!.replace(/[?#].*$/, ''))];
    return URL.canParse(name!) ? [fileURLToPath(name!)] : [];
  });
}
