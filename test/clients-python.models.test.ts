import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exampleOf, printed, withAddresses } from './support/page-examples.ts';
import { hasModule } from './support/python-servers.ts';
import { type ServedLetters, serveLetters } from './support/served-letters.ts';

/** Python clients and stores against the real server, as the pages show them. LLM_QE_PYTHON names a Python that has them. */
const TEXTS = ['Backups run at night.', 'Keys are rotated every 90 days.'];
const QUERY = 'how do I rotate a key';

const project = mkdtempSync(join(tmpdir(), 'llm-qe-python-'));
let served: ServedLetters;
beforeEach(async () => {
  served = await serveLetters({ expander: { budgetMs: 60_000 } });
  served.chat.calls.length = 0;
  served.encoder.forget();
});
afterEach(() => served.close());
afterAll(() => rmSync(project, { recursive: true, force: true }));

const python = (code: string) => printed(process.env.LLM_QE_PYTHON!, ['-W', 'ignore', '-c', code], project);

describe.each<[string, string, string[], RegExp]>([
  ['docs/clients.md', 'OpenAI, Python', ['openai'], /^2 3$/],
  ['docs/clients.md', 'LangChain, Python', ['langchain_openai'], /^(Keys|Backups)/],
  ['docs/serving-recipes.md', 'Qdrant', ['openai', 'qdrant_client'], /^(Keys|Backups)/],
  ['docs/serving-recipes.md', 'Milvus', ['openai', 'milvus_lite'], /^(Keys|Backups)/],
  ['docs/serving-recipes.md', 'LanceDB', ['openai', 'lancedb'], /^(Keys|Backups)/],
])('%s: %s', (page, heading, modules, answer) => {
  const missing = modules.filter((name) => !hasModule(name));
  const title = missing.length === 0 ? 'runs' : `is skipped: LLM_QE_PYTHON has no ${missing.join(', ')}`;

  test.skipIf(missing.length > 0)(title, async () => {
    const code = withAddresses(exampleOf(page, heading, 'python'), { 'http://127.0.0.1:8090': served.url });
    expect(await python(code)).toMatch(answer);
    expect(served.encoder.embedded('document')).toEqual(TEXTS);
    expect(served.encoder.embedded('query')).toEqual(['bbbb', QUERY]);
    expect(served.chat.calls).toHaveLength(1);
  });
});

/** Its tokenizer comes from a server of OpenAI's; this one knows three tokens. */
const TOKEN_IDS = `
import tiktoken, types
words = types.SimpleNamespace(
    encode=lambda text, **_: [1, 2, 3], encode_ordinary=lambda text: [1, 2, 3], decode=lambda ids: "text"
)
tiktoken.encoding_for_model = tiktoken.get_encoding = lambda name: words
from langchain_openai import OpenAIEmbeddings
try:
    OpenAIEmbeddings(base_url="ADDRESS/v1", api_key="none", model="any").embed_documents(["some text"])
except Exception as error:
    print(error.status_code, error)
`;

const hasLangChain = hasModule('langchain_openai');
test.skipIf(!hasLangChain)("LangChain's token ids are refused, and the answer names the option to set", async () => {
  const answer = await python(TOKEN_IDS.replace('ADDRESS', served.url));
  expect(answer).toMatch(/^400 .*token ids are not read/);
  expect(answer).toContain('check_embedding_ctx_length=False');
  expect(served.encoder.calls).toEqual([]);
});
