import { Agent } from 'node:http';
import { expect, test } from 'vitest';
import { malformed, sendMalformed } from '../../../test/support/malformed-requests.ts';
import { serveLetters } from '../../../test/support/served-letters.ts';
import { Random } from '../../system/index.ts';
import { openMcpEndpoint } from '../mcp/mcp.ts';

/** `npm run torture:serve` sends 10,000. */
const REQUESTS = 500;

test('malformed requests are the fault of their clients, whatever is wrong with them', async () => {
  const faults: unknown[] = [];
  const mcp = await openMcpEndpoint({ host: '127.0.0.1', hasKey: false, origins: [] });
  const server = await serveLetters({ documents: ['a', 'b'], listen: { mcp, onError: (error) => faults.push(error) } });
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const random = new Random(7);
  const counts = new Map<number, number>();
  for (let sent = 0; sent < REQUESTS; sent += 10) {
    const some = Array.from({ length: 10 }, () => malformed(random));
    const statuses = await Promise.all(some.map((one) => sendMalformed(server.url, one, agent)));
    for (const [at, status] of statuses.entries()) {
      counts.set(status, (counts.get(status) ?? 0) + 1);
      expect(status, JSON.stringify({ ...some[at], body: some[at]!.body.toString().slice(0, 500) })).toBeLessThan(500);
    }
  }
  agent.destroy();
  expect(faults).toEqual([]);
  expect(Object.prototype).not.toHaveProperty('input');
  // Both are found: what is refused, and what only looks wrong.
  expect(counts.get(400)).toBeGreaterThan(50);
  expect(counts.get(200)).toBeGreaterThan(10);
  expect((await server.send('/v1/embeddings', { input: 'a' })).status).toBe(200);
  await mcp.close();
  await server.close();
});
