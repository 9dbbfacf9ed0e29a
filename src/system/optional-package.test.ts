import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ResourceError } from './errors.ts';
import { refuseIfSlim } from './optional-package.ts';

describe('a package that a slim install leaves out', () => {
  it('is missed with the command that adds it, and what works without', () => {
    const missed = () => refuseIfSlim('no-such-package', 'a local model', ' Or use a server.');
    expect(missed).toThrow(ResourceError);
    expect(missed).toThrow(/a local model needs the package no-such-package/);
    expect(missed).toThrow(
      expect.objectContaining({ fix: expect.stringMatching(/npm install llm-qe --include=optional.*use a server/) }),
    );
  });

  it('is found, whether it is for require or for import alone', () => {
    for (const name of ['tokenizers', 'node-llama-cpp']) expect(() => refuseIfSlim(name, 'this')).not.toThrow();
  });

  it('is loaded when it is needed, and by worker threads', () => {
    const { optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    // A thread's file loads it at once.
    const names = [...Object.keys(optionalDependencies), "\\.[^']*-worker\\.ts"].join('|');
    const atOnce = new RegExp(`^(import (?!type\\b)|export )[^;]*from '(${names})`, 'm');
    const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !/(\.test|-worker)\.ts$/.test(name))
      .filter((name) => atOnce.test(readFileSync(join('src', name), 'utf8')));
    expect(files).toEqual([]);
  });
});
