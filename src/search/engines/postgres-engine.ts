import type { Pool, PoolClient, QueryArrayConfig } from 'pg';
import type { HitList } from '../../measures/index.ts';
import { contentKey, DataError, optionalPackage } from '../../system/index.ts';
import type { Engine, EngineContent, EngineRows, HnswSettings } from './engine.ts';
import type { EngineAddress } from './engine-address.ts';
import { refuseOtherContent } from './engine-content.ts';
import { postgresFault } from './postgres-faults.ts';
import { numberArray, type PostgresForm } from './postgres-vectors.ts';

/** Connections that search at the same time. */
const CONNECTIONS = 4;

/** Bytes of a page that a row can use; a longer one is stored apart, which makes a scan slow. */
const ROW_BYTES = 7500;

/** pgvector's limit for the candidate list of a search. A deeper search continues by itself (`hnsw.iterative_scan`). */
const MOST_EF = 1000;

/** Answers as the text that the server sends. */
const RAW = { getTypeParser: () => (text: string) => text };

/**
 * PostgreSQL with pgvector: a table with the row, the id and the vector of each document, dense or sparse. What it holds is recorded as its comment,
 * in the same transaction that creates it.
 */
export class PostgresEngine<V> implements Engine<V> {
  readonly name = 'PostgreSQL';
  readonly place: string;
  readonly queriesPerCall = 64;
  readonly mostHits = Number.MAX_SAFE_INTEGER;
  readonly rowsPerAnswer = 50_000;
  readonly #pool: Pool;
  readonly #table: string;
  readonly #address: EngineAddress;
  readonly #content: EngineContent;
  readonly #form: PostgresForm<V>;
  readonly #hnsw: HnswSettings | undefined;
  /** Connections that are at work. */
  readonly #busy = new Set<PoolClient>();
  #versions = '';
  /** The number of the type of the vectors that are sent, in this database. */
  #type = 0;

  private constructor(
    pool: Pool,
    address: EngineAddress,
    content: EngineContent,
    form: PostgresForm<V>,
    hnsw: HnswSettings | undefined,
  ) {
    [this.#pool, this.#address, this.#content, this.#form] = [pool, address, content, form];
    this.#hnsw = address.search === 'hnsw' ? hnsw : undefined;
    const name = address.name ?? `llm_qe_${contentKey(content).slice(0, 24)}`;
    this.#table = `"${name}"`;
    this.place = `table ${this.#table}`;
  }

  /** @throws ResourceError if the package `pg` is missing. No connection is made yet. */
  static async connect<V>(
    address: EngineAddress,
    content: EngineContent,
    form: PostgresForm<V>,
    hnsw?: HnswSettings,
  ): Promise<PostgresEngine<V>> {
    const { default: pg } = await optionalPackage(() => import('pg'), 'pg', 'search in PostgreSQL');
    const pool = new pg.Pool({
      ...{ connectionString: address.url.href, max: CONNECTIONS, application_name: 'llm-qe' },
      ...{ connectionTimeoutMillis: 10_000, keepAlive: true, allowExitOnIdle: true },
    });
    // A connection that breaks tells its query, and this event, which would end the process if nobody listened.
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
    return new PostgresEngine(pool, address, content, form, hnsw);
  }

  get facts(): Record<string, string | number> {
    const { similarity, format } = this.#content;
    const index = { index: `${this.#versions}, ${this.place}`, ...(similarity !== 'bm25' && { vectors: format }) };
    if (this.#hnsw === undefined) return { ...index, 'index search': 'exact' };
    const { m, efConstruction, ef } = this.#hnsw;
    return { ...index, 'index search': 'HNSW', 'HNSW M': m, 'HNSW ef construction': efConstruction, 'HNSW ef': ef };
  }

  async open(): Promise<number> {
    return this.#transaction(async (client) => {
      // Two that create at once would both find nothing: the second waits for the first.
      await client.query('SELECT pg_advisory_xact_lock(hashtext($1))', [`llm-qe ${this.#table}`]);
      await this.#findExtension(client);
      const found = await client.query<{ comment: string | null }>(
        `SELECT obj_description(oid, 'pg_class') AS comment FROM pg_class WHERE oid = to_regclass($1)`,
        [this.#table],
      );
      if (found.rows[0] === undefined) await this.#create(client);
      else refuseOtherContent(this, parsed(found.rows[0].comment), this.#content, `DROP TABLE ${this.#table}`);
      return countRows(client, this.#table);
    });
  }

  async count(): Promise<number> {
    return this.#transaction((client) => countRows(client, this.#table));
  }

  async heldBetween(from: number, to: number): Promise<number[]> {
    const text = `SELECT row FROM ${this.#table} WHERE row >= $1 AND row < $2`;
    const { rows } = await this.#transaction((client) => client.query<{ row: number }>(text, [from, to]));
    return rows.map((one) => one.row);
  }

  async load({ rows, ids, vectors }: EngineRows<V>): Promise<void> {
    const { stored, sent } = this.#form;
    const given = this.#form.array(vectors, this.#type);
    const text =
      `INSERT INTO ${this.#table} (row, id, embedding) SELECT row, id, vector::${stored} ` +
      `FROM unnest($1::int[], $2::text[], $3::${sent}[]) AS given (row, id, vector) ON CONFLICT (row) DO NOTHING`;
    await this.#transaction((client) => client.query(text, [rows, ids, given]));
  }

  async finish(): Promise<void> {
    await this.#transaction((client) => client.query(`ANALYZE ${this.#table}`));
    const hnsw = this.#hnsw;
    if (hnsw !== undefined) await this.#transaction((client) => this.#buildGraph(client, hnsw));
  }

  async search(queries: V, k: number): Promise<HitList[]> {
    const count = this.#form.count(queries);
    // Each connection of the server works on one core.
    const share = Math.ceil(count / CONNECTIONS);
    const parts = Array.from({ length: Math.ceil(count / share) }, (_none, at) =>
      this.#form.slice(queries, at * share, Math.min(count, (at + 1) * share)),
    );
    return (await Promise.all(parts.map((part) => this.#searchPart(part, k)))).flat();
  }

  async close(): Promise<void> {
    // A query that runs (after an abort) is not waited for: its connection is cut.
    await Promise.all([...this.#busy].map((client) => client.end().catch(() => {})));
    if (!this.#pool.ending) await this.#pool.end();
  }

  async #findExtension(client: PoolClient): Promise<void> {
    await client.query('CREATE EXTENSION IF NOT EXISTS vector');
    const { rows } = await client.query<{ type: string; pgvector: string; server: string }>(
      `SELECT '${this.#form.sent}'::regtype::oid AS type, extversion AS pgvector, current_setting('server_version') AS server ` +
        `FROM pg_extension WHERE extname = 'vector'`,
    );
    const { type, pgvector, server } = rows[0]!;
    this.#type = Number(type);
    this.#versions = `PostgreSQL ${server.split(' ')[0]}, pgvector ${pgvector}`;
    const [major, minor] = pgvector.split('.').map(Number);
    if (major! > 0 || minor! >= 8) return;
    throw new DataError(`the server has pgvector ${pgvector}, and 0.8 or newer is needed`, {
      fix: 'Install a newer one on the server, and run ALTER EXTENSION vector UPDATE.',
    });
  }

  async #create(client: PoolClient): Promise<void> {
    const { dimensions } = this.#content;
    const { stored } = this.#form;
    const type = `${stored}(${dimensions})`;
    await client.query(
      `CREATE TABLE ${this.#table} (row int PRIMARY KEY, id text NOT NULL, embedding ${type} NOT NULL)`,
    );
    if (stored !== 'sparsevec' && 4 * dimensions < ROW_BYTES) {
      await client.query(`ALTER TABLE ${this.#table} ALTER COLUMN embedding SET STORAGE PLAIN`);
    }
    const comment = JSON.stringify({ 'llm-qe': this.#content }).replaceAll("'", "''");
    await client.query(`COMMENT ON TABLE ${this.#table} IS '${comment}'`);
  }

  /** Builds the graph of these settings; one of other settings would be searched in its place. */
  async #buildGraph(client: PoolClient, { m, efConstruction }: HnswSettings): Promise<void> {
    const bare = this.#table.slice(1, -1);
    const wanted = `${contentKey(bare).slice(0, 16)}_hnsw_${m}_${efConstruction}`;
    const { rows } = await client.query<{ name: string }>(
      `SELECT indexname AS name FROM pg_indexes WHERE tablename = $1 AND schemaname = current_schema() AND indexdef LIKE '%USING hnsw%'`,
      [bare],
    );
    for (const { name } of rows) if (name !== wanted) await client.query(`DROP INDEX "${name.replaceAll('"', '""')}"`);
    await client.query(
      `CREATE INDEX IF NOT EXISTS "${wanted}" ON ${this.#table} USING hnsw (embedding ${this.#form.stored}_ip_ops) ` +
        `WITH (m = ${m}, ef_construction = ${efConstruction})`,
    );
  }

  #searchPart(queries: V, k: number): Promise<HitList[]> {
    const { stored, sent } = this.#form;
    const hnsw = this.#hnsw;
    const product = `embedding <#> query.vector::${stored}`;
    // Ties are broken by the exact search itself; HNSW's order needs the plain distance to use the graph.
    const order = hnsw === undefined ? 'score DESC, id COLLATE "C" DESC' : product;
    const best = `SELECT row, (-(${product}))::real AS score FROM ${this.#table} ORDER BY ${order} LIMIT $2`;
    const config: QueryArrayConfig = {
      text:
        `SELECT found.rows, found.scores FROM unnest($1::${sent}[]) WITH ORDINALITY AS query (vector, place) CROSS JOIN LATERAL ` +
        `(SELECT array_agg(row) AS rows, array_agg(score) AS scores FROM (${best}) AS best) AS found ORDER BY query.place`,
      ...{ rowMode: 'array', types: RAW },
    };
    const values = [this.#form.array(queries, this.#type), k];
    return this.#transaction(async (client) => {
      if (hnsw !== undefined) await this.#searchDeeply(client, k, hnsw);
      const { rows } = await client.query<string[]>(config, values);
      const lists = rows.map(([numbers, scores]) => ({
        numbers: Uint32Array.from(numberArray(numbers ?? '{}')),
        scores: Float32Array.from(numberArray(scores ?? '{}')),
      }));
      return this.#content.similarity === 'bm25' ? lists.map(withSharedTerms) : lists;
    });
  }

  async #searchDeeply(client: PoolClient, k: number, hnsw: HnswSettings): Promise<void> {
    const ef = Math.min(MOST_EF, Math.max(k, hnsw.ef));
    await client.query(`SET LOCAL hnsw.ef_search = ${ef}`);
    await client.query('SET LOCAL enable_seqscan = off');
    if (k > MOST_EF) await client.query("SET LOCAL hnsw.iterative_scan = 'strict_order'");
  }

  /** Does work in one transaction. A connection that failed is not used again. */
  async #transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient | undefined;
    try {
      client = await this.#pool.connect();
      this.#busy.add(client);
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      client.release();
      return result;
    } catch (error) {
      client?.release(true);
      throw postgresFault(error, this.#address.shown);
    } finally {
      if (client !== undefined) this.#busy.delete(client);
    }
  }
}

/** Documents without a term of the query, which stand last, are not found. */
function withSharedTerms({ numbers, scores }: HitList): HitList {
  const found = scores.findIndex((score) => score <= 0);
  return found < 0 ? { numbers, scores } : { numbers: numbers.subarray(0, found), scores: scores.subarray(0, found) };
}

async function countRows(client: PoolClient, table: string): Promise<number> {
  const { rows } = await client.query<{ count: string }>(`SELECT count(*) AS count FROM ${table}`);
  return Number(rows[0]!.count);
}

function parsed(comment: string | null): unknown {
  try {
    return JSON.parse(comment ?? 'null')?.['llm-qe'];
  } catch {
    return undefined;
  }
}
