import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectGenerator, type GenerationRequest, type ServerOptions } from '../../src/generate/index.ts';
import { readWrittenText } from '../../src/generate/writing/written-text.ts';
import { chat, type Scenario, type ScenarioReply, ScenarioServer } from '../support/scenario-server.ts';

/** What real servers say, word for word, and what must come of it. */
const TEXT = 'A tower whose lamp guides ships.';
const ok = chat(TEXT);
const refuse = (status: number, body: unknown): ScenarioReply => ({ status, body });

const scenarios: Record<string, Scenario> = {};
let server: ScenarioServer;
beforeAll(async () => {
  server = await ScenarioServer.start(scenarios);
});
afterAll(() => server.stop());

function request(id: string, content = 'What is a lighthouse?'): GenerationRequest {
  const messagesWith = (text: string) => [{ role: 'user' as const, content: text }];
  return {
    ...{ id, messages: messagesWith(content), seed: 7 },
    sampling: { temperature: 1, topP: 0.9, topK: 0, maxTokens: 20 },
    ...(content.length > 300 && { cuttable: { text: content, messagesWith } }),
  };
}

async function ask(behaviour: Scenario, requests = [request('a')], options: Partial<ServerOptions> = {}) {
  const name = `w${Object.keys(scenarios).length}`;
  scenarios[name] = behaviour;
  const baseUrls = [server.at(name)];
  const generator = await connectGenerator({ baseUrls, model: 'm', retries: 1, concurrency: 1, ...options });
  const generations = [];
  for await (const generation of generator.generate(requests)) generations.push(generation);
  return { generations, calls: server.calls(name) };
}

describe.concurrent('a prompt that is too long loses the end of its document', () => {
  it.each<[string, number, unknown]>([
    [
      'TGI',
      422,
      {
        error:
          'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 512. Given: 1699 `inputs` tokens and 32 `max_new_tokens`',
      },
    ],
    ['vLLM, whose limit becomes negative', 400, { message: 'max_tokens must be at least 1, got -1187.' }],
    ['xAI', 400, { error: "This model's maximum prompt length is 131072 but the request contains 200000 tokens." }],
    [
      'TensorRT-LLM',
      400,
      {
        message:
          'default_max_tokens (-5) must be greater than 0, default_max_tokens (-5) = max_seq_len (512) - splited_prompt_len (517)',
      },
    ],
    ['DashScope', 400, { error: { message: 'Range of input length should be [1, 30720]' } }],
    [
      'FastAPI, in characters',
      422,
      { detail: [{ loc: ['body', 'messages'], msg: 'ensure this value has at most 2000 characters' }] },
    ],
    ['a proxy', 413, '<html><head><title>413 Request Entity Too Large</title></head></html>'],
    [
      'Groq',
      413,
      {
        error: {
          message: 'Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 8000',
          code: 'rate_limit_exceeded',
        },
      },
    ],
    [
      'Mistral',
      400,
      {
        message:
          'Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length',
      },
    ],
  ])('%s', async (_name, status, body) => {
    const isLong: Scenario = (call) => (call.body.messages[0]!.content.length > 700 ? refuse(status, body) : ok);
    const { generations } = await ask(isLong, [request('a', 'x'.repeat(1000))]);
    expect(generations).toMatchObject([{ text: TEXT, promptCut: true }]);
  });
});

describe.concurrent('a server that takes one sample a call is asked for one at a time', () => {
  it.each<[string, number, unknown]>([
    ['llama-server', 500, { error: { message: 'Only one completion choice is allowed' } }],
    ['Gemini', 400, [{ error: { code: 400, message: 'Multiple candidates is not enabled for this model' } }]],
    ['FastAPI', 422, { detail: [{ loc: ['body', 'n'], msg: 'Input should be 1' }] }],
    ['DashScope', 400, { error: { message: 'parameter n should be in [1, 1]' } }],
    ['a server without it', 501, { error: { message: 'n > 1 is not implemented' } }],
    ['one that explains nothing', 400, 'Bad Request'],
  ])('%s', async (_name, status, body) => {
    const single: Scenario = (call) => (Number(call.body.n) > 1 ? refuse(status, body) : ok);
    const { calls } = await ask(
      single,
      ['a', 'b', 'c'].map((id) => request(id)),
      { useN: true },
    );
    expect(calls).toHaveLength(4);
  });
});

it('a refusal that explains nothing costs the extras only until a call with them was answered', async () => {
  const never: Scenario = ({ body }) => ('samplers' in body ? refuse(400, 'Bad Request') : ok);
  expect((await ask(never)).calls.map(({ body }) => 'samplers' in body)).toEqual([true, false]);
  const once: Scenario = ({ number }) => (number === 0 ? ok : refuse(400, 'Bad Request'));
  await expect(ask(once, [request('a'), request('b')])).rejects.toThrow(/"b".*400: Bad Request/);
});

describe.concurrent('a usable text is accepted in an unusual form:', () => {
  const choices = [{ Message: { Content: TEXT }, FinishReason: 'stop' }];
  const line = (choice: object) => `${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n`;
  const lines = [line({ delta: { content: 'A tower whose ' } }), line({ delta: { content: 'lamp guides ships.' } })];
  it.each<[string, ScenarioReply]>([
    ['keys in capitals', { body: { Choices: choices } }],
    ['all keys in capitals', { body: { CHOICES: [{ MESSAGE: { CONTENT: TEXT } }] } }],
    [
      'one JSON object per line',
      { body: [...lines, line({ finish_reason: 'stop' })].join(''), type: 'application/x-ndjson' },
    ],
  ])('%s', async (_name, reply) => {
    expect((await ask(() => reply)).generations).toMatchObject([{ text: TEXT }]);
  });

  it('lines that break off are requested again', async () => {
    const { calls } = await ask(({ number }) => (number === 0 ? { body: lines.join('') } : ok));
    expect(calls).toHaveLength(2);
  });
});

describe.concurrent('a stream of events', () => {
  const event = (choice: object) => `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`;
  const [one, two] = [{ delta: { content: 'A tower whose ' } }, { delta: { content: 'lamp guides ships.' } }].map(
    event,
  );
  const events = (...parts: string[]): ScenarioReply => ({ body: parts.join(''), type: 'text/event-stream' });
  const usage = 'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}\r\n\r\n';
  const whole = events(': OPENROUTER PROCESSING\n\n', one!, two!, usage, 'data: [DONE]\n\n');

  it.each<[string, Scenario]>([
    ['that nobody asked for', () => whole],
    [
      'with thoughts',
      () =>
        events(
          event({ delta: { reasoning_content: 'Hm.' } }),
          one!,
          two!,
          usage,
          event({ delta: {}, finish_reason: 'stop' }),
        ),
    ],
    ['that broke off once', ({ number }) => (number === 0 ? events(one!) : whole)],
    [
      'that told of an error once',
      ({ number }) => (number === 0 ? events(one!, 'data: {"error":{"message":"busy","code":503}}\n\n') : whole),
    ],
    ...[
      'This model only support stream mode, please enable the stream parameter.',
      'Stream must be set to true',
      'parameter.enable_thinking must be set to false for non-streaming calls',
    ].map((message): [string, Scenario] => [
      message,
      ({ body }) => ('stream' in body ? whole : refuse(400, { error: { message } })),
    ]),
  ])('%s is put together', async (_name, behaviour) => {
    const { generations } = await ask(behaviour);
    expect(generations).toMatchObject([{ text: TEXT, promptTokens: 9, completionTokens: 5, finish: 'stop' }]);
  });
});

describe.concurrent('the words are found', () => {
  it.each<[string, ScenarioReply, RegExp]>([
    [
      'GLM',
      { body: { code: 1002, msg: 'Authorization Token invalid', success: false } },
      /Authorization Token invalid/,
    ],
    [
      'MiniMax',
      { body: { base_resp: { status_code: 1004, status_msg: 'login fail' }, choices: null } },
      /: login fail$/,
    ],
    [
      'Cloudflare',
      { body: { success: false, errors: [{ code: 7003, message: 'No route' }], result: null } },
      /: No route$/,
    ],
    ['a text in JSON', { body: '"Model not loaded"' }, /: Model not loaded$/],
    [
      'a page under status 200',
      { body: '<!DOCTYPE html><title>Sign in</title><p>x', type: 'text/html' },
      /not JSON: Sign in$/,
    ],
    [
      'a redirect to no address',
      { status: 302, body: '', headers: { location: 'http://[' } },
      /"http:\/\/\[" is not an HTTP address/,
    ],
    [
      'a redirect to a file',
      { status: 302, body: '', headers: { location: 'file:///etc/passwd' } },
      /is not an HTTP address/,
    ],
    [
      'a wait in the body',
      refuse(429, [{ error: { message: 'Quota', details: [{ retryDelay: '34000s' }] } }]),
      /34,000 s/,
    ],
    [
      'a wait in a header under status 200',
      { body: { error: { code: 429, message: 'Quota' } }, headers: { 'RETRY-AFTER': '34000' } },
      /34,000 s/,
    ],
    ['a wait in a field', refuse(429, { error: { message: 'Quota', retry_after: 34_000 } }), /34,000 s/],
    [
      'a wait under keys in capitals',
      refuse(503, { Error: { Message: 'Quota', RetryAfter: '34000' } }),
      /Quota.*34,000 s/,
    ],
    ['keys in capitals', { body: { STATUS: 'error', MESSAGE: 'Model not loaded' } }, /: Model not loaded$/],
    ['the first of several lines', refuse(400, '{"error":"one"}\n{"error":"two"}\n'), /: one$/],
    ['a wait in words', refuse(429, { error: { message: 'Please try again in 20m.' } }), /1,200 s/],
  ])('of %s, at once', async (_name, reply, words) => {
    await expect(ask(() => reply, undefined, { retries: 5 })).rejects.toThrow(words);
  });
});

it('a key is not shown where the quotation of a server is cut', async () => {
  const apiKey = 'sk-the-key-of-a-test-of-words';
  const echo =
    (length: number): Scenario =>
    () =>
      refuse(401, { error: { message: 'x'.repeat(length) + apiKey } });
  for (const length of [280, 290, 298]) {
    await expect(ask(echo(length), undefined, { apiKey })).rejects.not.toThrow(/sk-/);
  }
});

describe.concurrent('a content filter leaves one text empty, and the run goes on', () => {
  const azure = {
    error: {
      message:
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.",
      type: null,
      param: 'prompt',
      code: 'content_filter',
      status: 400,
      innererror: { code: 'ResponsibleAIPolicyViolation' },
    },
  };
  const inappropriate = 'Input data may contain inappropriate content.';
  const choice = (more: object) => ({ choices: [{ index: 0, message: { content: null }, ...more }] });
  it.each<[string, number, unknown]>([
    ['Azure', 400, azure],
    ['Azure, an error under status 200', 200, azure],
    [
      'OpenAI',
      400,
      { error: { message: 'Invalid prompt: your prompt was flagged as potentially violating our usage policy.' } },
    ],
    ['Alibaba', 400, { error: { code: 'data_inspection_failed', message: inappropriate } }],
    ['OpenRouter', 403, { error: { code: 403, message: 'Input was flagged', metadata: { reasons: ['violence'] } } }],
    ['MiniMax', 200, { base_resp: { status_code: 1026, status_msg: 'input new_sensitive' } }],
    ['Gemini, its own form', 200, { promptFeedback: { blockReason: 'SAFETY' } }],
    ['a finish reason', 200, choice({ finish_reason: 'content_filter' })],
    [
      'a finish reason in capitals, and half a text',
      200,
      choice({ finish_reason: 'SAFETY', message: { content: 'A to' } }),
    ],
    ['a refusal in its own field', 200, choice({ message: { content: null, refusal: "I can't help with that." } })],
  ])('%s', async (_name, status, body) => {
    const { generations, calls } = await ask(
      ({ body: { messages } }) => (messages[0]!.content === 'bad' ? refuse(status, body) : ok),
      [request('a'), request('b', 'bad'), request('c')],
    );
    expect(calls).toHaveLength(3);
    const filtered = generations.filter((generation) => generation.filtered);
    expect(filtered.map(({ id }) => id)).toEqual(['b']);
    expect(readWrittenText(filtered[0]!, 1)).toMatchObject({ text: '', emptyBecause: 'contentFilter' });
  });

  it.each<[string, number, unknown]>([
    ['a setting', 400, 'the input field model is case sensitive'],
    ['access', 403, 'Your account has no access to this content'],
    ['a model', 404, 'The model is not available under this policy'],
  ])('not if it is about %s', async (_name, status, body) => {
    await expect(ask(() => refuse(status, body))).rejects.toThrow(String(body));
  });
});
