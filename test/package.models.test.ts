import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/**
 * The package as a stranger gets it: packed, installed into an empty project (a dependency's .npmrc is not read, so
 * the variable that README names stands in its place), called, and imported with its types.
 */
describe('npm package', () => {
  const project = mkdtempSync(join(tmpdir(), 'llm-qe-package-'));
  const environment = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };
  const run = (command: string, ...words: string[]) =>
    execFileSync(command, words, { cwd: project, env: environment, encoding: 'utf8' });

  beforeAll(() => {
    const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], {
      cwd: resolve('.'),
      encoding: 'utf8',
    });
    const tarball = /[\w.-]+\.tgz/.exec(packed)![0];
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'empty', private: true, type: 'module' }));
    run('npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', join(project, tarball));
  });
  afterAll(() => rmSync(project, { recursive: true, force: true }));

  it('gives a working command', () => {
    expect(run('npx', 'llm-qe', '--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
    writeFileSync(join(project, 'a.qrels'), 'q1 0 d1 1\n');
    writeFileSync(join(project, 'a.run'), 'q1 Q0 d2 1 2.0 t\nq1 Q0 d1 2 1.0 t\n');
    const scores = JSON.parse(run('npx', 'llm-qe', 'score', '--qrels', 'a.qrels', '--run', 'a.run', '--json'));
    expect(scores.all.recip_rank).toBe(0.5);
  });

  it('gives a typed import', () => {
    const script = [
      "import { evaluateRun, type Qrels, type Run } from 'llm-qe';",
      "const qrels: Qrels = new Map([['q', new Map([['d', 1]])]]);",
      "const run: Run = new Map([['q', [{ id: 'd', score: 1 }]]]);",
      "const scores = evaluateRun(qrels, run, { measures: ['nDCG@10'] });",
      "const mean: number | undefined = scores.mean['nDCG@10'];",
      'console.log(mean);',
    ];
    mkdirSync(join(project, 'src'));
    writeFileSync(join(project, 'src', 'try.ts'), script.join('\n'));
    const compiler = resolve('node_modules', 'typescript', 'bin', 'tsc');
    const options = [
      '--module',
      'nodenext',
      '--target',
      'es2022',
      '--strict',
      '--skipLibCheck',
      '--types',
      '',
      '--outDir',
      'out',
    ];
    run('node', compiler, ...options, 'src/try.ts');
    expect(run('node', 'out/try.js').trim()).toBe('1');
  });
});
