import { parseArgs } from 'node:util';
import { type Finding, ServeBench } from './bench.ts';
import { sufferClients } from './clients.ts';
import { killUnderLoad, shareCache } from './kills.ts';
import { sendMalformedOnes } from './malformed.ts';

/**
 * `npm run torture:serve [-- --requests 10000 --rounds 10 --seed 1 --only NAME]`: what happens to `llm-qe serve` in production, with a
 * server of models that gives equal answers to equal questions.
 */
const { values: options } = parseArgs({
  options: {
    requests: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
  },
});
const [requests, rounds, seed] = [Number(options.requests), Number(options.rounds), Number(options.seed)];

const CHECKS: Record<string, (bench: ServeBench) => Promise<Finding>> = {
  malformed: (bench) => sendMalformedOnes(bench, requests, seed),
  kills: (bench) => killUnderLoad(bench, rounds, seed),
  sharing: (bench) => shareCache(bench, 500),
  clients: (bench) => sufferClients(bench, { slow: 500, leaving: 2000 }),
};

let failed = 0;
for (const [name, check] of Object.entries(CHECKS)) {
  if (options.only !== undefined && options.only !== name) continue;
  const bench = await ServeBench.open();
  const began = performance.now();
  try {
    const { figures, faults } = await check(bench);
    const told = Object.entries(figures).map(([what, value]) => `${what} ${value}`);
    console.log(
      `${name}: ${told.join(', ')}; ${faults.length} faults, ${((performance.now() - began) / 1000).toFixed(0)} s`,
    );
    for (const fault of faults.slice(0, 20)) console.log(`  ${fault}`);
    failed += faults.length;
  } finally {
    bench.close();
  }
}
process.exitCode = failed === 0 ? 0 : 1;
