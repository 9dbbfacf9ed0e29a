import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ChatCall, ChatServer } from '../../test/support/chat-server.ts';
import { BeirDataset, readExpansions } from '../data/index.ts';
import { readStageManifest } from '../files/index.ts';
import { connectGenerator, type Generator } from '../generate/index.ts';
import { combinationOf } from '../retrieve/index.ts';
import { AbortedError, UsageError } from '../system/index.ts';
import { STRATEGIES } from './catalogue.ts';
import { expandByStrategy, type StrategyOptions } from './run-strategy.ts';

/** Documents by the number of times that they hold "saw": BM25 finds s3, s2, s1 for it. */
const DOCUMENTS = [
  { _id: 's1', title: '', text: 'a saw and a plane' },
  { _id: 's2', title: 'Saws', text: 'a saw has teeth' },
  { _id: 's3', title: '', text: 'saw saw saw' },
  { _id: 'c1', title: '', text: 'a "cat"\n purrs' },
  { _id: 'q9', title: '', text: 'saw saw saw saw saw' },
];
const QUERIES = [
  { _id: 'q1', text: 'saw?' },
  { _id: 'q9', text: 'a saw' },
  { _id: 't1', text: 'what purrs' },
];

let folder: string;
let server: ChatServer;
let generator: Generator;
/** What the server writes; the number of the call by default. */
let write: (call: ChatCall, number: number) => string | Promise<string>;
let outputs = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strategies-'));
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  await mkdir(join(folder, 'data', 'qrels'), { recursive: true });
  const jsonl = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await writeFile(join(folder, 'data', 'corpus.jsonl'), jsonl(DOCUMENTS));
  await writeFile(join(folder, 'data', 'queries.jsonl'), jsonl(QUERIES));
  await writeFile(join(folder, 'data', 'qrels', 'test.tsv'), 'q1\ts2\t1\n');
  server = await ChatServer.start(async (call, number) => {
    const content = await write(call, number);
    const body = {
      choices: [{ message: { content }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 7, completion_tokens: 5 },
    };
    return { status: 200, body };
  });
  generator = await connectGenerator({ baseUrls: [server.baseUrl], concurrency: 1 });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await generator.close();
  await server.stop();
  await rm(folder, { recursive: true });
});

async function run(strategy: string, more: Partial<StrategyOptions> = {}) {
  const dataset = await BeirDataset.open(join(folder, 'data'));
  const out = more.out ?? join(folder, `out-${outputs++}`, 'expansions.jsonl');
  const queries = more.queries ?? [{ id: 'q1', text: 'saw?' }];
  const before = server.calls.length;
  const result = await expandByStrategy({ strategy, dataset, queries, generator, timings: false, ...more, out });
  const records = [...(await readExpansions(out)).values()].flat();
  const calls = server.calls.slice(before);
  return { ...result, out, records, texts: records.map(({ text }) => text), calls, prompts: calls.map(promptOf) };
}

const promptOf = ({ messages }: ChatCall) => messages.map(({ role, content }) => `${role}: ${content}`).join('\n');
const numbered = () => {
  const first = server.calls.length;
  write = (_call, number) => `text ${number - first}`;
};

describe('every strategy', () => {
  it.each(STRATEGIES)('$name: asks as often as it says, seeds each text, records how it combines', async (strategy) => {
    numbered();
    const { records, calls, statistics, settings, out } = await run(strategy.name);
    const texts = strategy.steps.reduce((sum, step) => sum + step.texts(settings), 0);
    expect(calls).toHaveLength(texts);
    expect(statistics).toMatchObject({ texts, reused: 0, completionTokens: 5 * texts, promptTokens: 7 * texts });
    expect(records).toHaveLength(strategy.expansions(settings));
    expect(new Set(calls.map(({ seed }) => seed)).size).toBe(texts);
    const { temperature, topP, topK, maxTokens } = strategy.defaults;
    for (const call of calls) {
      expect(call).toMatchObject({ temperature, top_p: topP, top_k: topK, max_tokens: maxTokens });
    }
    const combination = strategy.combination(settings);
    expect(await combinationOf(out)).toMatchObject({ ...combination, strategy: strategy.name });
    expect(await combinationOf(join(out, '..', `queries_${strategy.name}.jsonl`))).toMatchObject(combination);

    const again = await run(strategy.name, { out });
    expect(again.calls).toEqual([]);
    expect(again.records).toEqual(records);
    expect(again.statistics.reused).toBe(texts);
  });

  it('holds its settings, its steps and its prompts apart', async () => {
    numbered();
    const { out } = await run('hyde', { settings: { samples: 1 } });
    await expect(run('mugi', { out })).rejects.toThrow(/strategy: "hyde", now "mugi"/);
    await expect(run('hyde', { out, settings: { temperature: 0 } })).rejects.toThrow(/temperature: 0.7, now 0/);
    await expect(run('hyde', { out, variant: 'fiqa' })).rejects.toThrow(/prompt/);
    const more = await run('hyde', { out, settings: { samples: 3 } });
    expect(more.calls).toHaveLength(2);
  });

  it('refuses what there is not, with the names that there are', async () => {
    await expect(run('hide')).rejects.toThrow(UsageError);
    await expect(run('hyde', { variant: 'nq' })).rejects.toThrow(/no variant "nq"/);
    await expect(run('mugi', { variant: 'nq' })).rejects.toThrow(/no variant/);
    await expect(run('hyde', { settings: { samples: 0 } })).rejects.toThrow(/not a number of samples/);
  });
});

describe('the prompts', () => {
  const asked = async (strategy: string, more?: Partial<StrategyOptions>) => {
    numbered();
    return (await run(strategy, more)).prompts;
  };
  const one = { settings: { samples: 1 } };

  it('of LLM-QE are those of --task', async () => {
    expect(await asked('q2d')).toEqual([
      'user: Please write a passage to answer the question.\nQuestion: saw?\nPassage:',
    ]);
    expect(await asked('q2e')).toEqual(['user: Write a list of keywords for the given query:\nQuery: saw?\nKeywords:']);
    expect(await asked('q2q')).toEqual(['user: Output the rewrite of input query.\nQuery: saw?\nOutput:']);
    expect(await asked('q2c')).toEqual([
      'user: Answer the following query:\nsaw?\nGive the rationale before answering.',
    ]);
  });

  it('of HyDE depend on the data', async () => {
    expect(await asked('hyde', one)).toEqual([
      'user: Please write a passage to answer the question.\nQuestion: saw?\nPassage:',
    ]);
    expect(await asked('hyde', { ...one, variant: 'scifact' })).toEqual([
      'user: Please write a scientific paper passage to support/refute the claim.\nClaim: saw?\nPassage:',
    ]);
    expect(await asked('hyde', { ...one, variant: 'mr-tydi-korean' })).toEqual([
      'user: Please write a passage in Korean to answer the question in detail.\nQuestion: saw?\nPassage:',
    ]);
  });

  it('of MuGI end with the beginning of the answer', async () => {
    expect(await asked('mugi', one)).toEqual([
      "system: You are PassageGenGPT, an AI capable of generating concise, informative, and clear pseudo passages on specific topics.\nuser: Generate one passage that is relevant to the following query: 'saw?'. The passage should be concise, informative, and clear\nassistant: Sure, here's a passage relevant to the query:",
    ]);
  });

  it('of GenQR and its ensemble ask for keywords', async () => {
    const role = 'system: You output only comma-separated keywords. No sentences.\nuser: ';
    expect(await asked('genqr', one)).toEqual([
      `${role}Suggest keywords to improve retrieval for this query:\n"saw?"\nReturn only keywords.`,
    ]);
    const ensemble = await asked('genqr-ensemble');
    expect(new Set(ensemble).size).toBe(10);
    expect(ensemble[0]).toBe(
      `${role}Improve the search effectiveness by suggesting expansion terms for the query:\n"saw?"`,
    );
    expect(ensemble[9]).toBe(
      `${role}Enhance search outcomes by recommending beneficial expansion terms to supplement the query:\n"saw?"`,
    );
  });

  it('of LameR hold the first hits, best first, on one line each, without the query itself', async () => {
    const queries = [
      { id: 'q9', text: 'a saw' },
      { id: 't1', text: 'what purrs' },
      { id: 'x', text: 'zebra' },
    ];
    expect(await asked('lamer', { ...one, queries })).toEqual([
      'user: Give a question "a saw" and its possible answering passages (most of these passages are wrong) enumerated as:\n1. saw saw saw\n2. Saws a saw has teeth\n3. a saw and a plane\nplease write a correct answering passage.',
      'user: Give a question "what purrs" and its possible answering passages (most of these passages are wrong) enumerated as:\n1. a "cat" purrs\nplease write a correct answering passage.',
      'user: Give a question "zebra" and its possible answering passages (most of these passages are wrong) enumerated as:\n\nplease write a correct answering passage.',
    ]);
    const [fiqa] = await asked('lamer', { ...one, variant: 'fiqa' });
    expect(fiqa).toContain('its possible answering financial article passages (most');
    expect(fiqa).toContain('please write a correct answering financial article passage.');
  });

  it('of CSQE ask twice without and twice with documents', async () => {
    const prompts = await asked('csqe');
    const plain =
      'system: You are a helpful assistant.\nuser: Please write a passage to answer the question\nQuestion: saw?\nPassage:';
    expect(prompts.slice(0, 2)).toEqual([plain, plain]);
    expect(prompts[2]).toBe(prompts[3]);
    const request =
      'You will begin by examining the initially retrieved documents and identifying the ones that are relevant, even partially, to the query. Once the relevant documents are identified, you will extract the key sentences from each document that contribute to their relevance.';
    expect(prompts[2]).toMatch(/^system: You are an efficient search assistant\./);
    expect(prompts[2]).toContain('\nassistant: Based on the query "why do bridges have expansion joints", I have');
    expect(
      prompts[2]!.endsWith(
        `user: Query: "saw?"\nRetrieved documents:\n1. saw saw saw saw saw\n2. saw saw saw\n3. Saws a saw has teeth\n4. a saw and a plane\n\n${request}`,
      ),
    ).toBe(true);
  });

  it('of Query2doc hold four examples: of the train split, or written for it', async () => {
    const [own] = await asked('query2doc');
    expect(own).toMatch(
      /^user: Write a passage that answers the given query:\n\nQuery: how long do swifts stay in the air\nPassage: Swifts/,
    );
    expect(own!.match(/^Query: /gm)).toHaveLength(5);
    expect(own!.endsWith('\n\nQuery: saw?\nPassage:')).toBe(true);

    const train = join(folder, 'data', 'qrels', 'train.tsv');
    const judged = ['q1\ts1\t1', 'q9\ts2\t1', 't1\tc1\t1', 't1\ts1\t0'];
    await writeFile(train, `${judged.join('\n')}\n`);
    // Of three training queries, one is to be expanded: two are not enough.
    numbered();
    expect((await run('query2doc')).examples).toBe('llm-qe');
    const more = [...QUERIES, { _id: 't2', text: 'planes' }, { _id: 't3', text: 'teeth' }];
    await writeFile(join(folder, 'data', 'queries.jsonl'), more.map((row) => `${JSON.stringify(row)}\n`).join(''));
    await writeFile(train, `${[...judged, 't2\ts1\t1', 't2\ts3\t2', 't3\ts2\t1'].join('\n')}\n`);
    const { examples, prompts } = await run('query2doc');
    for (const seed of [1, 2, 3, 4]) {
      expect((await run('query2doc', { seed })).prompts[0]!.match(/^Query: saw\?$/gm)).toHaveLength(1);
    }
    await rm(train);
    expect(examples).toBe('train');
    const shown = prompts[0]!.split('\n\n').slice(1, -1).sort();
    expect(shown).toEqual([
      'Query: a saw\nPassage: Saws a saw has teeth',
      'Query: planes\nPassage: saw saw saw',
      'Query: teeth\nPassage: Saws a saw has teeth',
      'Query: what purrs\nPassage: a "cat" purrs',
    ]);
  });
});

describe('strategies of several steps', () => {
  it('QA-Expand answers its questions, and keeps what is refined', async () => {
    const answers = [
      '1. What is a saw?\n2. Who uses it?\n\n3) How is it cut?\n4. More?',
      '{"answer1": "a tool", "answer2": "smiths"}',
      'Here: {"answer1": "a tool with teeth", "answer2": "",}',
    ];
    const first = server.calls.length;
    write = (_call, number) => answers[number - first]!;
    const { prompts, records, out } = await run('qa-expand');
    expect(prompts[0]).toMatch(
      /^system: You are a helpful assistant\. .*\nuser: Break the query into sub-questions: "saw\?"$/,
    );
    expect(prompts[1]!.split('\nuser: ')[1]).toBe(
      'Questions to answer: "{"question1":"What is a saw?","question2":"Who uses it?","question3":"How is it cut?"}"',
    );
    expect(prompts[2]!.split('\nuser: ')[1]).toBe(`Initial query: "saw?"\nAnswers: "${answers[1]}"`);
    expect(records).toEqual([
      expect.objectContaining({
        text: 'a tool with teeth',
        promptTokens: 21,
        completionTokens: 15,
        raw: answers.join('\n\n'),
      }),
    ]);
    const steps = join(out, '..', 'expansions.steps', '1-questions.jsonl');
    expect((await readExpansions(steps)).get('q1')).toMatchObject([{ text: answers[0] }]);
  });

  it('ThinkQE reads new documents in each round, found with the texts so far', async () => {
    const first = server.calls.length;
    write = (_call, number) => (number - first < 2 ? 'cat purrs' : 'text');
    const { prompts, texts } = await run('thinkqe');
    const enumerated = prompts.map(
      (prompt) =>
        /enumerated as:\n([\s\S]*)\n\nplease write a correct answering passage\. Use your own knowledge, not just the example passages!$/.exec(
          prompt,
        )![1],
    );
    const [one, , two, , three] = enumerated;
    expect(one).toBe('1. saw saw saw saw saw\n2. saw saw saw\n3. Saws a saw has teeth\n4. a saw and a plane');
    expect(two).toBe('1. a "cat" purrs');
    expect(three).toBe('');
    expect(texts).toEqual(['cat purrs', 'cat purrs', 'text', 'text', 'text', 'text']);
  });

  it('go on where they were stopped, in any step', async () => {
    const out = join(folder, 'stopped', 'expansions.jsonl');
    const queries = [1, 2, 3, 4].map((number) => ({ id: `n${number}`, text: `saw ${number}` }));
    const settings = { samples: 1 };
    const answer = ({ messages, seed }: ChatCall) => `on ${messages.at(-1)!.content.length} ${seed % 97}`;
    let calls = 0;
    for (const most of [2, 2, 3, 3]) {
      const controller = new AbortController();
      const before = server.calls.length;
      write = (call, number) => {
        if (number - before + 1 >= most) setTimeout(() => controller.abort(), 0);
        return number - before < most ? answer(call) : new Promise(() => {});
      };
      await expect(run('thinkqe', { out, queries, settings, signal: controller.signal })).rejects.toThrow(AbortedError);
      calls += most;
    }
    write = (call) => answer(call);
    const { records, statistics } = await run('thinkqe', { out, queries, settings });
    expect(statistics).toMatchObject({ texts: 12, reused: expect.any(Number) });
    expect(statistics.reused).toBeGreaterThan(4);
    expect(statistics.reused).toBeLessThanOrEqual(calls);
    const whole = await run('thinkqe', { queries, settings });
    expect(records).toEqual(whole.records);
    expect(await readFile(out, 'utf8')).toBe(await readFile(whole.out, 'utf8'));
  });
});

describe('what becomes of the texts', () => {
  it('CSQE keeps the quoted sentences, MuGI drops quotation marks, GenQR joins keywords', async () => {
    write = (call) =>
      promptOf(call).includes('efficient search') ? 'Document 1:\n"A saw." and\n"It cuts."' : '"a passage"';
    expect((await run('csqe')).texts).toEqual(['a passage', 'a passage', 'A saw. It cuts.', 'A saw. It cuts.']);
    expect((await run('mugi', { settings: { samples: 1 } })).texts).toEqual(['a passage']);
    write = () => 'saw, hand tool,\n- teeth\n- blade';
    expect((await run('genqr', { settings: { samples: 1 } })).texts).toEqual(['saw, hand tool, teeth blade']);
  });

  it('CSQE leaves out what a small LLM copies of the example in the prompt', async () => {
    write = ({ messages }) => {
      const example = messages.find(({ role }) => role === 'assistant')?.content;
      return example === undefined ? 'a passage' : `${example}\n"A saw has teeth."`;
    };
    expect((await run('csqe')).texts).toEqual(['a passage', 'a passage', 'A saw has teeth.', 'A saw has teeth.']);
  });

  it('a manifest records the prompts as they are made', async () => {
    numbered();
    const { out } = await run('lamer');
    const manifest = await readStageManifest(out);
    expect(manifest!.settings).toMatchObject({
      strategy: 'lamer',
      prompt: {
        name: 'lamer',
        text: 'user: Give a question "{query}" and its possible answering passages (most of these passages are wrong) enumerated as:\n1. {passages}\nplease write a correct answering passage.',
      },
      searched: {
        k1: 0.9,
        b: 0.4,
        analyzer: 'english',
        documents: 10,
        corpus: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    });
    expect(manifest!.about).toMatchObject({ strategy: 'lamer', paper: expect.stringContaining('2304.14233') });
  });
});
