import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (file: string) => JSON.parse(readFileSync(file, 'utf8'));

/** The package as npm packs and installs it; `package.models.test.ts` installs it for real. */
describe('the package', () => {
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { encoding: 'utf8' }),
  );
  const files: string[] = packed.files.map(({ path }: { path: string }) => path);

  it.each(['examples', 'docs', 'recipes'])('holds all of %s', (folder) => {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const here = entries.map(({ parentPath, name }) => `${parentPath}/${name}`);
    expect(files.filter((file) => file.startsWith(`${folder}/`)).sort()).toEqual(here.sort());
  });

  it('holds no source, test or setting of this checkout', () => {
    expect(files.filter((file) => /^(src|test|bench|reference)\/|\.test\.|npmrc/.test(file))).toEqual([]);
  });

  it('holds examples that import the package by its name, as its reader would', () => {
    for (const name of readdirSync('examples', { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue;
      const sources = [...readFileSync(`examples/${name}`, 'utf8').matchAll(/from '([^']+)'/g)].map(
        ([, from]) => from!,
      );
      expect(sources.filter((from) => from !== 'llm-qe' && !from.startsWith('node:'))).toEqual([]);
    }
  });
});

/**
 * The install script of onnxruntime-node fetches GPU libraries from a second host. npm 10 runs a script only if the lock file
 * lists it; npm 11 and later ask `allowScripts` too. A setting in `.npmrc` that npm does not know is warned of at every call.
 */
describe('npm ci', () => {
  const lock = read('package-lock.json');

  it('does not run the install script of onnxruntime-node', () => {
    expect(lock.packages['node_modules/onnxruntime-node'].hasInstallScript).toBeUndefined();
    expect(read('package.json').allowScripts['onnxruntime-node']).toBe(false);
  });

  it('says of every other install script whether it may run', () => {
    const scripts = Object.entries(lock.packages as Record<string, { hasInstallScript?: boolean; dev?: boolean }>)
      .filter(([, { hasInstallScript, dev }]) => hasInstallScript && !dev)
      .map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length));
    expect(Object.keys(read('package.json').allowScripts)).toEqual(expect.arrayContaining(scripts));
  });

  it('needs no settings file, and takes every package from the registry in use', () => {
    expect(existsSync('.npmrc')).toBe(false);
    expect(JSON.stringify(lock)).not.toContain('"resolved":"http');
  });
});
