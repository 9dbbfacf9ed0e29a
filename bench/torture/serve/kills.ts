import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../../src/system/index.ts';
import type { ServedProcess } from '../../../test/support/served-process.ts';
import { type Finding, inLanes, post, type ServeBench } from './bench.ts';

const LANES = 8;

/** Kills the server under load, starts it again, and looks at the vectors and at what is left on disk. */
export async function killUnderLoad(bench: ServeBench, rounds: number, seed: number): Promise<Finding> {
  const random = new Random(seed);
  const check = new VectorCheck();
  const figures = { rounds, answered: 0, cut: 0, hits: 0, lost: 0 };
  const faults: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const server = await bench.start();
    const kept = await check.hits(server);
    figures.hits += kept.hits;
    figures.lost += kept.missing;
    // A text reaches the disk after its answer: each lane may have had one on its way.
    if (kept.missing > LANES) faults.push(`round ${round}: ${kept.missing} texts are gone`);
    let isKilled = false;
    const answers = 20 + random.below(200);
    await inLanes(answers * 2, LANES, async (at) => {
      if (isKilled) return;
      if (at === answers) {
        isKilled = true;
        server.child.kill('SIGKILL');
        return;
      }
      const outcome = await check.ask(server, `round ${round} query ${at}`);
      figures[outcome ? 'answered' : 'cut']++;
    });
    await server.end('SIGKILL');
    faults.push(...damagedFiles(bench.home));
  }
  return { figures, faults: [...faults, ...check.faults] };
}

/** Two servers share one cache: one text for each query, and equal vectors. */
export async function shareCache(bench: ServeBench, queries: number): Promise<Finding> {
  const servers = await Promise.all([bench.start(), bench.start()]);
  const [check, before] = [new VectorCheck(), bench.written];
  await inLanes(queries * 2, LANES, async (at) => {
    await check.ask(servers[at % 2]!, `shared query ${at >> 1}`);
  });
  const written = bench.written - before;
  const kept = await check.hits(servers[0]!);
  const faults = [...check.faults, ...damagedFiles(bench.home)];
  if (kept.missing > 0) faults.push(`${kept.missing} texts are missing`);
  for (const server of servers) if ((await server.end('SIGTERM')) !== 0) faults.push('a server did not end in order');
  return { figures: { queries, asked: queries * 2, written, hits: kept.hits }, faults };
}

/** Equal queries have equal vectors, whichever process answers them, and whether their text is new or kept. */
class VectorCheck {
  readonly faults: string[] = [];
  readonly #known = new Map<string, string>();

  /** @returns whether it was answered */
  async ask({ url }: ServedProcess, query: string): Promise<boolean> {
    try {
      const response = await post(url, '/query/v1/embeddings', { input: query, encoding_format: 'base64' });
      const state = response.headers.get('x-llm-qe-expansion');
      const { data } = (await response.json()) as { data: { embedding: string }[] };
      if (response.status !== 200) this.faults.push(`${query}: status ${response.status}`);
      else if (state === 'generated' || state === 'hit') this.#compare(query, data[0]!.embedding);
      else this.faults.push(`${query}: ${state} (${response.headers.get('x-llm-qe-reason')})`);
      return true;
    } catch {
      return false;
    }
  }

  /** Asks for all known queries without the LLM. */
  async hits(server: ServedProcess): Promise<{ hits: number; missing: number }> {
    const found = { hits: 0, missing: 0 };
    for (const [query, vector] of this.#known) {
      const body = { input: query, encoding_format: 'base64', expansion_budget_ms: 0 };
      const response = await post(server.url, '/query/v1/embeddings', body);
      const { data } = (await response.json()) as { data: { embedding: string }[] };
      if (response.headers.get('x-llm-qe-expansion') !== 'hit') {
        found.missing++;
        this.#known.delete(query);
      } else if (data[0]!.embedding === vector) found.hits++;
      else this.faults.push(`${query}: another vector from the cache`);
    }
    return found;
  }

  #compare(query: string, vector: string): void {
    const before = this.#known.get(query);
    if (before !== undefined && before !== vector) this.faults.push(`${query}: another vector`);
    this.#known.set(query, vector);
  }
}

function damagedFiles(home: string): string[] {
  const files = readdirSync(home, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && entry.parentPath.includes('served-expansions') && entry.name.endsWith('.json'),
  );
  return files.flatMap(({ parentPath, name }) => {
    try {
      JSON.parse(readFileSync(join(parentPath, name), 'utf8'));
      return [];
    } catch {
      return [`${name} is damaged`];
    }
  });
}
