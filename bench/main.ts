import { writeFileSync } from 'node:fs';
import { describeMachine, formatRows, type Row, runPeer, threadCount } from './harness.ts';

/**
 * `npm run bench [-- SECTION ...] [--json FILE]`: compares our side with the usual alternatives, on this machine in one run. Ratios
 * above 1 are in our favour. Absolute values hold only for this machine and this moment.
 */
const SECTIONS: Record<string, () => Promise<{ run: () => Promise<Row[]> }>> = {
  encode: () => import('./sections/encode.ts'),
  search: () => import('./sections/search.ts'),
  bm25: () => import('./sections/bm25.ts'),
  measures: () => import('./sections/measures.ts'),
  generate: () => import('./sections/generate.ts'),
  candidates: () => import('./sections/candidates.ts'),
  memory: () => import('./sections/memory.ts'),
  nn: () => import('./sections/nn.ts'),
  dpo: () => import('./sections/dpo.ts'),
  retriever: () => import('./sections/retriever.ts'),
  serve: () => import('./sections/serve.ts'),
  budget: () => import('./sections/budget.ts'),
  'serve-memory': () => import('./sections/serve-memory.ts'),
  studio: () => import('./sections/studio.ts'),
};

const words = process.argv.slice(2);
const jsonAt = words.indexOf('--json');
const jsonFile = jsonAt < 0 ? undefined : words.splice(jsonAt, 2)[1];
const wanted = words.length === 0 ? Object.keys(SECTIONS) : words;
const unknown = wanted.filter((name) => !(name in SECTIONS));
if (unknown.length > 0) {
  console.error(`no such section: ${unknown.join(', ')}; the sections are ${Object.keys(SECTIONS).join(', ')}`);
  process.exit(2);
}
const machine = describeMachine();
const versions = runPeer<Record<string, string>>('versions.py', {});
console.log(`${machine}; ${threadCount()} threads`);
console.log(`peers: ${versions === undefined ? 'none (run bench/peers.sh to compare)' : describeVersions(versions)}`);
const all: Record<string, Row[]> = {};
for (const name of wanted) {
  console.error(`-- ${name}`);
  all[name] = await (await SECTIONS[name]!()).run();
  console.log(`\n${name}\n${formatRows(all[name])}`);
}
if (jsonFile !== undefined) {
  const result = { machine, threads: threadCount(), peers: versions ?? null, sections: all };
  writeFileSync(jsonFile, `${JSON.stringify(result, null, 1)}\n`);
}

function describeVersions(installed: Record<string, string>): string {
  return Object.entries(installed)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
}
