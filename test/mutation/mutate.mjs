/**
 * Changes the code of a room in small ways (a + for a -, a condition turned round, a call left out), one at a time, and
 * says which changes no test of that room notices: `npm run mutate -- measures evaluate`; docs/testing.md tells how to
 * read it. Stryker does the work. `--missed` tries only what the last run of the room, kept in build/mutation/, missed,
 * and the files that changed since.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { Stryker } from '@stryker-mutator/core';

/** What is changed, and the tests that should notice: the room's own, which are quick. */
const ROOMS = {
  measures: { change: ['src/measures'], tests: ['src/measures'] },
  evaluate: { change: ['src/evaluate'], tests: ['src/evaluate'] },
  retrieve: { change: ['src/retrieve'], tests: ['src/retrieve'] },
  search: { change: ['src/search'], tests: ['src/search'] },
  reward: { change: ['src/reward'], tests: ['src/reward'] },
  judging: {
    change: ['judgements', 'evaluation-stage', 'controls'].map((name) => `src/pipeline/stages/${name}.ts`),
    tests: ['src/pipeline/stages', 'src/pipeline/plan'],
  },
};

/** Words of messages, and objects of options: a test that pins them all would pin the wording. */
const NOT_CHANGED = ['StringLiteral', 'ObjectLiteral'];

/** Lines that are drawn together in a sample: enough for a statement that goes over several. */
const STRETCH = 8;

const testsOf = (path) => (path.endsWith('.ts') ? path : `${path}/**/*.test.ts`);

async function filesOf(paths) {
  const files = [];
  for (const path of paths) {
    if (path.endsWith('.ts')) files.push(path);
    else for (const name of await readdir(path, { recursive: true })) files.push(`${path}/${name}`);
  }
  return files.filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts')).sort();
}

/** Numbers from 0 to 1 that a seed decides (Steele, Lea and Flood's SplitMix, 32 bits). */
function drawing(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** All files, or a seeded sample of stretches of their lines, as Stryker takes them. */
async function changesOf(files, share, seed) {
  if (share === 1) return files;
  const draw = drawing(seed);
  const stretches = [];
  for (const file of files) {
    const lines = (await readFile(file, 'utf8')).split('\n').length;
    for (let first = 1; first <= lines; first += STRETCH) {
      if (draw() < share) stretches.push(`${file}:${first}-${first + STRETCH - 1}`);
    }
  }
  return stretches;
}

function optionsOf(name, mutate) {
  return {
    mutate,
    mutator: { excludedMutations: NOT_CHANGED },
    // A constant of a module is made once, before a change is chosen.
    ignoreStatic: true,
    coverageAnalysis: 'perTest',
    ...{ testRunner: 'vitest', plugins: ['@stryker-mutator/vitest-runner'] },
    vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
    ...{ concurrency: 1, timeoutMS: 20_000 },
    ...{ tempDirName: `build/mutation/${name}`, cleanTempDir: 'always' },
    ignorePatterns: ['/bench', '/build', '/docs', '/reference', '/runs'],
    // Stryker would rewrite it by an interface that TypeScript 7 lacks; Vitest does not read it.
    tsconfigFile: 'none.json',
    ...{ reporters: ['progress-append-only'], allowConsoleColors: false },
  };
}

/** No test began, because their file could not be loaded: Stryker takes that for "no test noticed". */
const wasNotTried = ({ status, testsCompleted }) => status === 'Survived' && testsCompleted === 0;

const isMissed = ({ status }) => status === 'Survived' || status === 'NoCoverage';

const pathOf = ({ fileName }) => fileName.slice(fileName.lastIndexOf('src/'));

const keyOf = (result) => JSON.stringify([pathOf(result), result.location, result.mutatorName, result.replacement]);

/** What the last run missed, as Stryker takes it: its columns count from 0. */
function missedIn({ results }) {
  const place = ({ line, column }) => `${line}:${column - 1}`;
  return results
    .filter((result) => isMissed(result))
    .map((result) => `${pathOf(result)}:${place(result.location.start)}-${place(result.location.end)}`);
}

/** The kept results of files that did not change, and the files that did. */
async function readKept(file, sources) {
  const kept = JSON.parse(await readFile(file, 'utf8'));
  const changed = Object.keys(sources).filter((path) => sources[path] !== kept.sources[path]);
  const results = kept.results.filter((result) => sources[pathOf(result)] === kept.sources[pathOf(result)]);
  return { results, changed };
}

/** Runs a room, or what its last run missed, and keeps the results. */
async function run(name, { share, seed, missed }) {
  const { change, tests } = ROOMS[name];
  process.env.LLM_QE_MUTATION_TESTS = JSON.stringify(tests.map(testsOf));
  const files = await filesOf(change);
  const sources = Object.fromEntries(
    await Promise.all(files.map(async (path) => [path, await readFile(path, 'utf8')])),
  );
  const file = `build/mutation/${share === 1 ? name : `${name}-${share}-${seed}`}.json`;
  const kept = missed ? await readKept(file, sources) : { results: [], changed: [] };
  const mutate = missed ? [...kept.changed, ...missedIn(kept)] : await changesOf(files, share, seed);
  const fresh = await new Stryker(optionsOf(name, mutate)).runMutationTest();
  // What was not tried is no result, and the next --missed tries it, as it does what the last run called missed.
  const merged = new Map([...kept.results, ...fresh].map((result) => [keyOf(result), result]));
  const results = [...merged.values()];
  await writeFile(file, JSON.stringify({ sources, results }));
  printResults(name, results);
}

function printResults(name, all) {
  const results = all.filter((result) => !wasNotTried(result));
  if (results.length < all.length)
    process.stdout.write(`${all.length - results.length} not tried: run it again with --missed\n`);
  const noticed = results.filter(({ status }) => status === 'Killed' || status === 'Timeout').length;
  const missed = results.filter((result) => isMissed(result));
  const tried = noticed + missed.length;
  const share = ((100 * noticed) / Math.max(1, tried)).toFixed(1);
  process.stdout.write(`\n${name}: ${share} % (${noticed} of ${tried})\n`);
  for (const result of missed) {
    const { location, mutatorName, replacement = '', status } = result;
    const { line, column } = location.start;
    const place = `${pathOf(result)}:${line}:${column}`;
    const change = replacement.replace(/\s+/g, ' ').slice(0, 80);
    process.stdout.write(`  ${status === 'Survived' ? '' : 'not run '}${place} ${mutatorName} ${change}\n`);
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sample: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    missed: { type: 'boolean', default: false },
  },
});
const [share, seed] = [Number(values.sample), Number(values.seed)];
const unknown = positionals.find((name) => !(name in ROOMS));
if (unknown !== undefined || !(share > 0 && share <= 1) || !Number.isSafeInteger(seed)) {
  const rooms = Object.keys(ROOMS).join(' | ');
  process.stderr.write(`npm run mutate -- [${rooms}]... [--sample SHARE] [--seed NUMBER] [--missed]\n`);
  process.exit(2);
}
await mkdir('build/mutation', { recursive: true });
for (const name of positionals.length === 0 ? Object.keys(ROOMS) : positionals) {
  await run(name, { share, seed, missed: values.missed });
}
