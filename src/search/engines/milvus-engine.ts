import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import type { HitList } from '../../measures/index.ts';
import { ConnectionError, contentKey, NetworkError, optionalPackage, UsageError } from '../../system/index.ts';
import type { Engine, EngineContent, EngineRows, HnswSettings } from './engine.ts';
import type { EngineAddress } from './engine-address.ts';
import { refuseOtherContent } from './engine-content.ts';
import { checkStatus, type MilvusStatus, milvusFault } from './milvus-faults.ts';
import type { MilvusForm } from './milvus-forms.ts';

type Sdk = typeof import('@zilliz/milvus2-sdk-node');

/** Milvus's limit for the hits of a query, and for the rows of an answer. */
const MOST_HITS = 16_384;

/** Milvus orders equal scores at will. More hits than asked for leave room to order them by id. */
const SPARE_HITS = 16;

/** What Milvus and Milvus Lite say of a collection that is on the disk alone. */
const NOT_LOADED = /not loaded|state 'released'/i;

/** Time limit of one call: one that builds an index or loads a large collection takes long. */
const CALL_MILLISECONDS = 600_000;

/**
 * Milvus: a collection with the row, the id and the vector of each document, dense or sparse. What it holds is recorded in the name of its vector
 * field, which every edition keeps (Milvus Lite drops descriptions and properties).
 */
export class MilvusEngine<V> implements Engine<V> {
  readonly name = 'Milvus';
  readonly place: string;
  readonly queriesPerCall = 64;
  readonly mostHits = MOST_HITS - SPARE_HITS;
  readonly rowsPerAnswer = MOST_HITS;
  readonly #sdk: Sdk;
  readonly #client: MilvusClient;
  readonly #collection: string;
  readonly #address: EngineAddress;
  readonly #content: EngineContent;
  readonly #form: MilvusForm<V>;
  readonly #hnsw: HnswSettings | undefined;
  #version = '';

  private constructor(
    sdk: Sdk,
    address: EngineAddress,
    content: EngineContent,
    form: MilvusForm<V>,
    hnsw: HnswSettings | undefined,
  ) {
    [this.#sdk, this.#address, this.#content, this.#form] = [sdk, address, content, form];
    const { search } = address;
    this.#hnsw = search === 'hnsw' ? hnsw : undefined;
    this.#collection = address.name ?? `llm_qe_${contentKey({ ...content, search }).slice(0, 24)}`;
    this.place = `collection ${this.#collection}`;
    const { url } = address;
    this.#client = new sdk.MilvusClient({
      ...{ address: url.host, ssl: url.protocol === 'https:', logLevel: 'error', maxRetries: 0 },
      // Milvus Lite refuses a client that asks more often whether it is there.
      channelOptions: { 'grpc.keepalive_time_ms': 300_000 },
      ...{ timeout: CALL_MILLISECONDS, ...(url.username && { username: decodeURIComponent(url.username) }) },
      ...(url.password && { password: decodeURIComponent(url.password) }),
      ...(url.searchParams.get('token') && { token: url.searchParams.get('token')! }),
      ...(url.searchParams.get('database') && { database: url.searchParams.get('database')! }),
    });
    // The first call tells that there is no connection.
    this.#client.connectPromise.catch(() => {});
  }

  /** @throws ResourceError if the client is not installed; UsageError for vectors that are not f32 */
  static async connect<V>(
    address: EngineAddress,
    content: EngineContent,
    form: MilvusForm<V>,
    hnsw?: HnswSettings,
  ): Promise<MilvusEngine<V>> {
    if (content.format !== 'f32') {
      throw new UsageError(`--vectors ${content.format} does not work with Milvus`, { fix: 'Omit --vectors.' });
    }
    const name = '@zilliz/milvus2-sdk-node';
    const sdk = await optionalPackage(() => import('@zilliz/milvus2-sdk-node'), name, 'search in Milvus');
    return new MilvusEngine(sdk, address, content, form, hnsw);
  }

  get facts(): Record<string, string | number> {
    const { similarity, format } = this.#content;
    const index = {
      index: `Milvus ${this.#version}, ${this.place}`,
      ...(similarity !== 'bm25' && { vectors: format }),
    };
    if (this.#hnsw === undefined) return { ...index, 'index search': this.#form.exactIndex };
    const { m, efConstruction, ef } = this.#hnsw;
    return { ...index, 'index search': 'HNSW', 'HNSW M': m, 'HNSW ef construction': efConstruction, 'HNSW ef': ef };
  }

  async open(): Promise<number> {
    const collection_name = this.#collection;
    this.#version = (await this.#ask(() => this.#client.getVersion())).version.replace(/^v/, '');
    const { value } = await this.#ask(() => this.#client.hasCollection({ collection_name }));
    if (value) {
      const { schema } = await this.#ask(() => this.#client.describeCollection({ collection_name }));
      const field = schema.fields.find(({ data_type }) => /^(Sparse)?FloatVector$/.test(`${data_type}`));
      const wanted = { ...this.#content, key: shortKey(this.#content.key) };
      refuseOtherContent(this, contentOf(field?.name, Number(field?.dim ?? 0)), wanted, `drop ${this.place}`);
    } else await this.#create();
    await this.#index();
    await this.#ask(() => this.#client.loadCollection({ collection_name }));
    return this.count();
  }

  async count(): Promise<number> {
    const collection_name = this.#collection;
    const { data } = await this.#ask(() =>
      this.#client.query({
        ...{ collection_name, filter: '', output_fields: ['count(*)'] },
        consistency_level: this.#sdk.ConsistencyLevelEnum.Strong,
      }),
    );
    return Number(data[0]?.['count(*)'] ?? 0);
  }

  async heldBetween(from: number, to: number): Promise<number[]> {
    const { data } = await this.#ask(() =>
      this.#client.query({
        ...{ collection_name: this.#collection, filter: `row >= ${from} and row < ${to}`, output_fields: ['row'] },
        ...{ limit: to - from, consistency_level: this.#sdk.ConsistencyLevelEnum.Strong },
      }),
    );
    return data.map(({ row }) => Number(row));
  }

  async load({ rows, ids, vectors }: EngineRows<V>): Promise<void> {
    const field = fieldOf(this.#content);
    const given = this.#form.vectors(vectors);
    const data = rows.map((row, at) => ({ row, id: ids[at]!, [field]: given[at]! }));
    await this.#ask(() => this.#client.upsert({ collection_name: this.#collection, data }));
  }

  async finish(): Promise<void> {
    await this.#ask(async () => (await this.#client.flushSync({ collection_names: [this.#collection] })) ?? {});
  }

  async search(queries: V, k: number): Promise<HitList[]> {
    const { rows } = this.#content;
    const limit = Math.min(rows, k + SPARE_HITS);
    const vectors = this.#form.vectors(queries);
    // A query none of whose words occurs in the corpus has an empty vector, which Milvus refuses.
    const asked = vectors.flatMap((vector, at) => (Object.keys(vector).length === 0 ? [] : [at]));
    const lists = vectors.map((): HitList => ({ numbers: new Uint32Array(0), scores: new Float32Array(0) }));
    if (asked.length === 0) return lists;
    const { results } = await this.#ask(() =>
      this.#client.search({
        ...{ collection_name: this.#collection, anns_field: fieldOf(this.#content), limit },
        data: asked.map((at) => vectors[at]!) as number[][],
        ...{ metric_type: 'IP', output_fields: ['row'], consistency_level: this.#sdk.ConsistencyLevelEnum.Strong },
        ...(this.#hnsw !== undefined && { params: { ef: Math.max(limit, this.#hnsw.ef) } }),
      }),
    );
    for (const [place, hits] of listsOf(results).entries()) lists[asked[place]!] = hitList(hits);
    return lists;
  }

  async close(): Promise<void> {
    await this.#client.closeConnection().catch(() => {});
  }

  async #create(): Promise<void> {
    const { DataType } = this.#sdk;
    const { dataType } = this.#form;
    const fields = [
      { name: 'row', data_type: DataType.Int64, is_primary_key: true, autoID: false },
      { name: 'id', data_type: DataType.VarChar, max_length: 65_535 },
      {
        ...{ name: fieldOf(this.#content), data_type: DataType[dataType] },
        ...(dataType === 'FloatVector' && { dim: this.#content.dimensions }),
      },
    ];
    const consistency_level = 'Strong';
    await this.#ask(() =>
      this.#client.createCollection({ collection_name: this.#collection, fields, consistency_level }),
    );
  }

  /** A collection has one index; one of another kind, or with other parameters, is made anew. */
  async #index(): Promise<void> {
    const hnsw = this.#hnsw;
    const [collection_name, field_name] = [this.#collection, fieldOf(this.#content)];
    const wanted: Record<string, string> =
      hnsw === undefined
        ? { index_type: this.#form.exactIndex }
        : { index_type: 'HNSW', M: `${hnsw.m}`, efConstruction: `${hnsw.efConstruction}` };
    const found = await this.#client.describeIndex({ collection_name }).catch(() => undefined);
    const held = Object.fromEntries(
      (found?.index_descriptions ?? []).flatMap(({ params }) => params.map(({ key, value }) => [key, value])),
    );
    const inside = typeof held.params === 'string' ? { ...held, ...JSON.parse(held.params) } : held;
    if (Object.entries(wanted).every(([key, value]) => `${inside[key]}` === value)) return;
    if (held.index_type !== undefined) {
      await this.#ask(() => this.#client.releaseCollection({ collection_name }));
      await this.#ask(() => this.#client.dropIndex({ collection_name, field_name }));
    }
    const { index_type, ...params } = wanted;
    await this.#ask(() =>
      this.#client.createIndex({ collection_name, field_name, index_type: index_type!, metric_type: 'IP', params }),
    );
  }

  /** Calls the server, and throws typed errors for what it answers. */
  async #ask<T extends object>(call: () => Promise<T>): Promise<T> {
    const { shown } = this.#address;
    try {
      const answer = await call();
      const status = 'status' in answer ? answer.status : 'error_code' in answer ? answer : undefined;
      if (status !== undefined) checkStatus(status as MilvusStatus, shown);
      return answer;
    } catch (error) {
      const fault = milvusFault(error, shown);
      if (!(fault instanceof NetworkError) || !NOT_LOADED.test(fault.message)) throw fault;
      // A server that was restarted holds no collection in memory.
      await this.#client.loadCollection({ collection_name: this.#collection }).catch(() => {});
      throw new ConnectionError(fault.message, { fix: fault.fix, cause: fault });
    }
  }
}

/** The name of the vector field: `dot_60000_` or `bm25_60000_`, and the beginning of the content key. */
function fieldOf({ similarity, rows, key }: EngineContent): string {
  return `${similarity}_${rows}_${shortKey(key)}`;
}

function shortKey(key: string): string {
  return contentKey(key).slice(0, 32);
}

/** Reads the name of a vector field; its short key stands for the whole one. */
function contentOf(field: string | undefined, dimensions: number): unknown {
  const [, similarity, rows, key] = /^(dot|cosine|bm25)_(\d+)_([0-9a-f]{32})$/.exec(field ?? '') ?? [];
  return { key, dimensions, similarity, format: 'f32', rows: Number(rows) };
}

/** One query's hits come without the list around them. */
function listsOf<H>(results: H[] | H[][]): H[][] {
  return Array.isArray(results[0]) ? (results as H[][]) : [results as H[]];
}

function hitList(hits: readonly { score: number; row?: unknown }[]): HitList {
  return {
    numbers: Uint32Array.from(hits, ({ row }) => Number(row)),
    scores: Float32Array.from(hits, ({ score }) => score),
  };
}
