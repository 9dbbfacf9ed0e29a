import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServedProcess } from '../../../test/support/served-process.ts';
import { type Finding, inLanes, memoryOf, metricOf, post, type ServeBench } from './bench.ts';

const BODY_BYTES = 100e6;

/** Clients that send too much, too slowly, or leave: others are answered, and nothing stays behind. */
export async function sufferClients(bench: ServeBench, counts: { slow: number; leaving: number }): Promise<Finding> {
  const server = await bench.start();
  const faults: string[] = [];
  await inLanes(500, 8, async () => void (await post(server.url, '/v1/embeddings', { input: 'warm' })).arrayBuffer());
  const handles = await metricOf(server, 'nodejs_active_handles_total');
  const before = memoryOf(server);
  const large = await sendLargeBodies(server, faults);
  await leave(server, counts.leaving, faults);
  const slow = await trickle(server, counts.slow, faults);
  const after = memoryOf(server);
  if (after - before > 60) faults.push(`memory grew from ${before} to ${after} MB`);
  const left = (await metricOf(server, 'nodejs_active_handles_total')) - handles;
  if (left > 20) faults.push(`${left} more handles are open`);
  if ((await server.end('SIGTERM')) !== 0) faults.push('the server did not end in order');
  if (/MaxListeners|Warning:/.test(server.log)) faults.push(`warnings: ${server.log.slice(0, 500)}`);
  return { figures: { ...large, ...slow, leaving: counts.leaving, before, after }, faults };
}

/** 100 MB, with their length and in chunks. */
async function sendLargeBodies(server: ServedProcess, faults: string[]) {
  const before = memoryOf(server);
  let highest = before;
  for (const hasLength of [true, false]) {
    let sent = 0;
    const piece = Buffer.alloc(1 << 16, 'a');
    const body = Readable.from(
      (function* () {
        for (; sent < BODY_BYTES; sent += piece.length) {
          if (sent % 1e6 < piece.length) highest = Math.max(highest, memoryOf(server));
          yield piece;
        }
      })(),
    );
    const headers = { 'content-type': 'application/json', ...(hasLength && { 'content-length': `${BODY_BYTES}` }) };
    const options = { method: 'POST', headers, body, duplex: 'half' } as unknown as RequestInit;
    const answer = await fetch(`${server.url}/v1/embeddings`, options).catch(() => undefined);
    if (answer !== undefined && answer.status !== 413) faults.push(`a body of 100 MB gets ${answer.status}`);
  }
  if ((await metricOf(server, 'llm_qe_request_seconds_count{route="/v1/embeddings",status="413"}')) !== 2) {
    faults.push('bodies that are too large are not counted');
  }
  if (highest - before > 40) faults.push(`memory grew from ${before} to ${highest} MB with a body of 100 MB`);
  return { memoryWithLargeBody: highest };
}

/** Clients that leave while they wait. */
async function leave(server: ServedProcess, count: number, faults: string[]): Promise<void> {
  await inLanes(count, 16, async (at) => {
    const leaves = new AbortController();
    const path = at % 3 === 0 ? '/expand' : '/query/v1/embeddings';
    const body = { query: `leaves ${at}`, input: `leaves ${at}`, stream: at % 2 === 0 };
    const asked = post(server.url, path, body, leaves.signal).then((answer) => answer.text());
    setTimeout(() => leaves.abort(), at % 7);
    await asked.catch(() => {});
  });
  for (let turn = 0; turn < 100 && (await metricOf(server, 'llm_qe_requests_in_flight')) > 1; turn++) await sleep(50);
  for (const [metric, most] of [
    ['requests_in_flight', 1],
    ['pending_texts', 0],
    ['waiting_texts', 0],
  ] as const) {
    const value = await metricOf(server, `llm_qe_${metric}`);
    if (value > most) faults.push(`${metric} is ${value} after all clients have left`);
  }
}

/** Clients that send a letter at a time, until they are cut off; others are answered meanwhile. */
async function trickle(server: ServedProcess, count: number, faults: string[]) {
  const { port } = new URL(server.url);
  const began = performance.now();
  const sockets = Array.from({ length: count }, () => {
    const socket: Socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => {}).resume();
    socket.write('POST /v1/embeddings HTTP/1.1\r\nhost: x\r\nx-slow: ');
    const timer = setInterval(() => socket.write('a'), 500);
    return new Promise<void>((resolve) => {
      socket.on('close', () => {
        clearInterval(timer);
        resolve();
      });
    });
  });
  const times: number[] = [];
  for (let at = 0; at < 100; at++) {
    const started = performance.now();
    const { status } = await post(server.url, '/v1/embeddings', { input: `meanwhile ${at}` });
    if (status !== 200) faults.push(`beside slow clients, a request gets ${status}`);
    times.push(performance.now() - started);
  }
  await Promise.all(sockets);
  const seconds = (performance.now() - began) / 1000;
  const counted = await metricOf(server, 'llm_qe_closed_connections_total{reason="slow"}');
  if (counted !== count) faults.push(`${counted} of ${count} slow connections are counted`);
  times.sort((a, b) => a - b);
  return {
    slowConnections: count,
    closedAfterSeconds: Number(seconds.toFixed(1)),
    medianBesideMs: Number(times[50]!.toFixed(1)),
  };
}
