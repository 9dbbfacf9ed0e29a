import { type Row, scaled, withFolder } from '../harness.ts';
import { attack, embeddings, loadTool, type Server, type Shot, startServe } from '../load.ts';
import { readWordnet } from '../wordnet.ts';

const MANY = scaled(100_000, 100);
const PORT = 8393;
const BUDGET_MS = 20;

/** The memory of `llm-qe serve` over many requests: short documents, and queries whose budget the LLM never meets. */
export async function run(): Promise<Row[]> {
  const tool = loadTool();
  if (tool === undefined) {
    console.error('left out: install vegeta, or set VEGETA to its path');
    return [];
  }
  return withFolder(async (folder) => {
    const { documents, queries } = await readWordnet(folder, 20_000, 1000);
    const shots = documents.flatMap(({ text }, at) => {
      const document = embeddings('any', text.slice(0, 60));
      return at % 200 === 0 ? [document, embeddings('any-query', `${queries[at / 200]?.text} ${at}`)] : [document];
    });
    const server = await startServe(PORT, ['--no-rules', '--budget-ms', `${BUDGET_MS}`]);
    try {
      return [
        await memoryRow(server, shots, (some) =>
          attack(tool, server.base, some, { folder, rate: 0, seconds: scaled(20, 2), workers: 16 }),
        ),
      ];
    } finally {
      await server.close();
    }
  });
}

/** Memory after the first tenth of the requests, and after all. */
async function memoryRow(
  server: Server,
  shots: readonly Shot[],
  send: (shots: readonly Shot[]) => Promise<{ sent: number; statuses: Record<string, number> }>,
): Promise<Row> {
  let [sent, answered, most] = [0, 0, 0];
  let first: number | undefined;
  while (sent < MANY) {
    const load = await send(rotated(shots, sent));
    sent += load.sent;
    answered += load.statuses[200] ?? 0;
    const now = await server.residentMiB();
    most = Math.max(most, now);
    if (sent >= MANY / 10) first ??= now;
    console.error(`${sent} of ${MANY} requests, ${Math.round(now)} MiB`);
  }
  const last = await server.residentMiB();
  const note = `${sent} requests, ${answered} of them with status 200; ${Math.round(first!)} MiB after a tenth, ${Math.round(most)} at most`;
  return { what: 'memory after many requests', unit: 'MiB', largerIsBetter: false, ours: last, note };
}

/** The shots from another place on: each round sends others first. */
function rotated(shots: readonly Shot[], by: number): Shot[] {
  const at = by % shots.length;
  return [...shots.slice(at), ...shots.slice(0, at)];
}
