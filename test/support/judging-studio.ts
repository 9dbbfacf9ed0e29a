import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Hono } from 'hono';
import { connectGenerator, PROMPTS } from '../../src/generate/index.ts';
import { defaultRetrievalSettings } from '../../src/retrieve/index.ts';
import { judgeApi } from '../../src/studio/api/judge.ts';
import { answerFailure } from '../../src/studio/http/failures.ts';
import { ProgressFeed, Studio, type StudioOptions } from '../../src/studio/index.ts';
import { SILENT } from '../../src/system/index.ts';
import { type Behaviour, ChatServer } from './chat-server.ts';
import { LetterCounts, written } from './served-letters.ts';

/** Documents, as vectors (a's, b's): a raw query of a's finds those with many a's, one expanded by b's those with many b's. */
export const DOCUMENTS = [
  'aaaa',
  'aaa b',
  'aa bb',
  'a bbb',
  'bbbb',
  'aab word',
  'abb <img src=x onerror=alert(1)>',
  'word',
];

/** A folder with a corpus, an LLM and an encoder of letters, for studios that come and go. */
export class JudgingPlace {
  readonly folder: string;
  readonly chat: ChatServer;
  readonly #home = process.env.LLM_QE_HOME;

  private constructor(folder: string, chat: ChatServer) {
    [this.folder, this.chat] = [folder, chat];
    process.env.LLM_QE_HOME = join(folder, 'home');
  }

  /** @param behaviour of the LLM. Default: writes b's */
  static async open(behaviour: Behaviour = () => written('bbbb bbbb')): Promise<JudgingPlace> {
    const folder = await mkdtemp(join(tmpdir(), 'judging-'));
    await mkdir(join(folder, 'letters'));
    const lines = (texts: readonly string[], letter: string) =>
      texts.map((text, at) => `${JSON.stringify({ _id: `${letter}${at}`, text })}\n`).join('');
    await writeFile(join(folder, 'letters', 'corpus.jsonl'), lines(DOCUMENTS, 'd'));
    await writeFile(join(folder, 'letters', 'queries.jsonl'), lines(['aa query', 'aaa other', 'a third'], 'q'));
    return new JudgingPlace(folder, await ChatServer.start(behaviour));
  }

  get runs(): string {
    return join(this.folder, 'runs');
  }

  options(signal = new AbortController().signal, runs = this.runs): StudioOptions {
    return {
      ...{
        runs,
        corpora: [join(this.folder, 'letters')],
        generators: ['toy'],
        settings: defaultRetrievalSettings({ threads: 1 }),
      },
      openEncoder: async () => new LetterCounts(),
      openGenerator: () => connectGenerator({ baseUrls: [this.chat.baseUrl], retries: 0 }),
      ...{ prompt: PROMPTS.q2d, sampling: { temperature: 0, topP: 1, topK: 0, maxTokens: 16 }, samples: 1, seed: 1 },
      ...{ progress: new ProgressFeed(SILENT), signal },
    };
  }

  studio(runs = this.runs): OpenJudging {
    return new OpenJudging(new Studio(this.options(undefined, runs)));
  }

  async close(): Promise<void> {
    await this.chat.stop();
    if (this.#home === undefined) delete process.env.LLM_QE_HOME;
    else process.env.LLM_QE_HOME = this.#home;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The judging API of a studio, without guard and network. */
export class OpenJudging {
  readonly studio: Studio;
  readonly #app: Hono;

  constructor(studio: Studio) {
    this.studio = studio;
    this.#app = judgeApi(studio);
    this.#app.onError((error, context) => answerFailure(context, error, (fault) => console.error(fault)));
  }

  async ask<T>(path: string, body?: unknown): Promise<{ status: number; body: T; text: string; headers: Headers }> {
    const answer = await this.#app.request(path, {
      method: body === undefined ? 'GET' : 'POST',
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await answer.text();
    const isJson = answer.headers.get('content-type')?.startsWith('application/json') ?? false;
    return { status: answer.status, text, headers: answer.headers, body: (isJson ? JSON.parse(text) : undefined) as T };
  }

  /** Asks again and again until what is answered is so: a preparation runs in the background. */
  async until<T>(path: string, isSo: (body: T) => boolean): Promise<T> {
    for (;;) {
      const { body } = await this.ask<T>(path);
      if (isSo(body)) return body;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): Promise<void> {
    return this.studio.close();
  }
}

/** A session over the queries of the corpus. */
export const newSession = (more: object = {}) => ({
  ...{ name: 'first', corpus: 'letters', queries: { from: 'corpus', most: 10 }, retrievers: ['dense', 'bm25', 'rrf'] },
  ...{ expand: true, depth: 3, seed: 7, ...more },
});
