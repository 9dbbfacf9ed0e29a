import { Agent } from 'node:http';
import { Random } from '../../../src/system/index.ts';
import { malformed, sendMalformed } from '../../../test/support/malformed-requests.ts';
import { type Finding, inLanes, memoryOf, metricOf, post, type ServeBench } from './bench.ts';

/** Requests before memory is looked at: code is compiled, and buffers have their size. */
const WARM_UP = 3000;
/** Memory may grow by so much, in MB, by what the collector leaves. */
const GROWTH = 40;

/** Sends malformed requests: none may be the server's fault, or cost memory. */
export async function sendMalformedOnes(bench: ServeBench, count: number, seed: number): Promise<Finding> {
  const server = await bench.start(['--mcp']);
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const random = new Random(seed);
  const faults: string[] = [];
  const counts = new Map<string, number>();
  const send = async () => {
    const one = malformed(random);
    const status = await sendMalformed(server.url, one, agent);
    const kind = `${Math.floor(status / 100)}xx`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    if (status >= 500) faults.push(`${status}: ${JSON.stringify({ ...one, body: one.body.toString().slice(0, 300) })}`);
  };
  await inLanes(WARM_UP, 16, send);
  const [before, handles] = [memoryOf(server), await metricOf(server, 'nodejs_active_handles_total')];
  await inLanes(count, 16, send);
  agent.destroy();
  const after = memoryOf(server);
  if (after - before > GROWTH) faults.push(`memory grew from ${before} to ${after} MB`);
  const left = (await metricOf(server, 'nodejs_active_handles_total')) - handles;
  if (left > 20) faults.push(`${left} more handles are open`);
  const status = (await post(server.url, '/v1/embeddings', { input: 'a' })).status;
  if (status !== 200) faults.push(`a sound request gets ${status} afterwards`);
  if ((await server.end('SIGTERM')) !== 0) faults.push('the server did not end in order');
  return { figures: { requests: count, ...Object.fromEntries([...counts].sort()), before, after }, faults };
}
