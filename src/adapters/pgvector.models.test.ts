import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Document } from '@langchain/core/documents';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PgliteServer } from '../../test/support/pglite-server.ts';
import { type ServedLetters, serveLetters } from '../../test/support/served-letters.ts';
import { ExpandedEmbeddings, ExpandedRetriever, type VectorStoreLike } from './langchain.ts';

/**
 * LangChain's own store for pgvector, on a real PostgreSQL. Its package asks for packages that contradict one another, so it is no
 * dependency of this checkout, and is installed here as its users do: without them, and with its own copy of LangChain's core.
 */
const COMMUNITY = '@langchain/community@1.1.29';

interface Store extends VectorStoreLike {
  addDocuments(documents: Document[]): Promise<void>;
  similaritySearch(query: string, k: number): Promise<Document[]>;
  end(): Promise<void>;
}
interface Module {
  PGVectorStore: { initialize(embeddings: ExpandedEmbeddings, settings: object): Promise<Store> };
}

const project = mkdtempSync(join(tmpdir(), 'llm-qe-pgvector-'));
let [postgres, served]: [PgliteServer, ServedLetters] = [undefined!, undefined!];
let store: Store;

beforeAll(async () => {
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'empty', private: true, type: 'module' }));
  const words = ['install', '--legacy-peer-deps', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  execFileSync('npm', [...words, COMMUNITY, '@langchain/core@^1.4.0', 'pg@^8'], { cwd: project, stdio: 'pipe' });
  [postgres, served] = await Promise.all([PgliteServer.start(), serveLetters()]);
  const file = join(project, 'node_modules', '@langchain', 'community', 'dist', 'vectorstores', 'pgvector.js');
  const { PGVectorStore } = (await import(pathToFileURL(file).href)) as Module;
  store = await PGVectorStore.initialize(new ExpandedEmbeddings({ server: served.url }), {
    postgresConnectionOptions: { host: '127.0.0.1', port: postgres.port, user: 'postgres', database: 'postgres' },
    ...{ tableName: 'passages', dimensions: 3 },
  });
});
afterAll(async () => {
  await store?.end();
  await Promise.all([postgres?.stop(), served?.close()]);
  rmSync(project, { recursive: true, force: true });
});

test('documents are stored as they are, and found by the expanded query', async () => {
  const texts = ['aaa b', 'b b b b', 'a bb'];
  await store.addDocuments(texts.map((pageContent, at) => new Document({ pageContent, metadata: { at } })));
  expect(served.chat.calls).toEqual([]);
  const { rows } = await postgres.db.query('select text, embedding::text as embedding from passages order by text');
  expect(rows).toEqual([
    { text: 'a bb', embedding: '[1,2,2]' },
    { text: 'aaa b', embedding: '[3,1,2]' },
    { text: 'b b b b', embedding: '[0,4,2]' },
  ]);
  // The raw query would find `aaa b`.
  const found = await store.similaritySearch('aa', 1);
  expect(found.map(({ pageContent }) => pageContent)).toEqual(['a bb']);
  const retriever = new ExpandedRetriever({ server: served.url, vectorStore: store, filter: { at: 0 }, k: 1 });
  expect((await retriever.invoke('aa')).map(({ pageContent }) => pageContent)).toEqual(['aaa b']);
  expect(served.chat.calls).toHaveLength(2);
});
