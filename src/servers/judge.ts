import { NetworkError, UsageError } from '../system/index.ts';
import { EXTRAS, isNamed, PARAMETERS, type Parameter } from './parameters.ts';
import type { Server } from './server.ts';
import { isNothingThere, type ServerFault } from './server-fault.ts';

/** What a failed call means for the next step. */
export type Verdict =
  /** The server can take the request once it is put otherwise; that was just learnt. */
  | { kind: 'adapt'; notice?: string }
  /** Worth another attempt: here after the time that the server asks for, or on another server. */
  | { kind: 'again'; afterSeconds: number | undefined; mostRetries?: number; error: NetworkError }
  /** A text is longer than the model can read. */
  | { kind: 'tooLong'; error: NetworkError }
  /** More texts than the server takes in one call, or more than together may be so long. */
  | { kind: 'tooMany'; most: number | undefined; error: NetworkError }
  /** Asking again would bring the same. */
  | { kind: 'final'; error: Error };

/** What of the request matters to the verdict. */
export interface FailedCall {
  server: Server;
  model: string;
  /** Id of the request, for messages. */
  id?: string | undefined;
  /** What was sent; other calls may have learnt more since. */
  body: Readonly<Record<string, unknown>>;
  /** Texts that were sent to be embedded; undefined for a chat. */
  inputs?: number | undefined;
}

const TOO_LONG =
  /context[ _-]?(length|size|window)|maximum context|(prompt|input|inputs|message|messages|sequence|text|query)\b.{0,60}\b(too long|too large|exceed|longer|must have less than)|too many (input |prompt )?tokens|maximum.{0,40}\btokens|tokens?\b.{0,60}\bexceed|exceed.{0,60}\b(tokens?|context|sequence length)|larger than the (max|maximum|physical batch)|too large to process/i;
/** The limit on new tokens alone, whatever the prompt. */
const LIMIT_TOO_LARGE =
  /max_(completion_)?tokens.{0,40}(too large|at most|less than|must be|maximum)|completion tokens/i;
const TOO_MANY =
  /batch[ _]?size|(maximum|max|limit|at most|no more than|fewer than|too many|exceed\w*|number of).{0,50}\b(inputs?|items?|texts?|strings?|documents?|sequences|elements|entries|instances)\b|\b(inputs?|items?|texts?|array|list)\b.{0,40}\b(at most|too many|too large|no more than|exceed)|tokens per (request|batch)|total (number of )?tokens|request too large|payload too large|entity too large|body.{0,20}too large/i;
const UNKNOWN_SETTING =
  /unrecognized|unrecognised|unknown|unexpected|unsupported|not supported|does not support|not permitted|not allowed|extra|forbidden|deprecated/i;
const PASSING =
  /rate.?limit|too many requests|overload|temporar|try again|timed? ?out|unavailable|loading|capacity|busy|slow down|throttl|resource.?exhausted/i;
const OUT_OF_CREDIT = /insufficient[_ ](quota|credits?|balance|funds)|billing[_ ](hard|limit|not)|payment required/i;

/**
 * Judges a call that failed: the one table of servers' faults, for generators and encoders. Learns from refusals: what a server
 * does not take is noted on {@link Server}.
 */
export function judgeFailure(fault: ServerFault, call: FailedCall): Verdict {
  switch (fault.kind) {
    case 'unreachable':
    case 'late':
      return again(fault, unreachable(fault, call));
    case 'cut':
      return again(fault, cutShort(fault, call));
    case 'broken':
      // A fault of the moment is gone by then; a model that cannot embed a text never will.
      return { ...again(fault, broken(fault, call)), mostRetries: 2 };
    case 'foreign':
      return { kind: 'final', error: foreign(fault, call) };
    case 'refused':
      return judgeRefusal(fault, call);
  }
}

function again(fault: ServerFault, error: NetworkError): Extract<Verdict, { kind: 'again' }> {
  return { kind: 'again', afterSeconds: fault.retryAfterSeconds, error };
}

/** Statuses under which servers complain of the request itself; some say 500 where a text is too long. */
const COMPLAINTS = new Set([400, 404, 413, 422, 500]);

function judgeRefusal(fault: ServerFault, call: FailedCall): Verdict {
  const { words, names } = fault.complaint;
  const said = [...names, words].join(' ');
  const status = statusOf(fault, said);
  const tooLarge = status === 429 && /request too large/i.test(words);
  if (status === undefined || COMPLAINTS.has(status) || tooLarge) {
    const verdict = judgeComplaint(fault, call, said, status);
    if (verdict !== undefined) return verdict;
  }
  if (status === 402 || OUT_OF_CREDIT.test(said)) return { kind: 'final', error: refused(fault, call, 402) };
  if (tooLarge) return { kind: 'final', error: refused(fault, call, 413) };
  if (status === 429) return again(fault, busy(fault, call));
  const passes = status === undefined ? PASSING.test(said) : status >= 500 || [408, 409, 425].includes(status);
  if (passes && status !== 501) return again(fault, failed(fault, call, status));
  return { kind: 'final', error: refused(fault, call, status) };
}

/** The answer's status; of an error under status 200, the one that its body means. */
function statusOf({ status, complaint }: ServerFault, said: string): number | undefined {
  if (status !== undefined && status >= 300) return status;
  if (complaint.status !== undefined) return complaint.status;
  if (/rate.?limit|too_many_requests|RESOURCE_EXHAUSTED/i.test(said)) return 429;
  if (/overloaded|UNAVAILABLE|server_error|internal/i.test(said)) return 503;
  return /invalid|BadRequest|context_length/i.test(said) ? 400 : undefined;
}

/** Undefined if the words name nothing that could be put otherwise. */
function judgeComplaint(
  fault: ServerFault,
  call: FailedCall,
  said: string,
  status: number | undefined,
): Verdict | undefined {
  const { words } = fault.complaint;
  if (call.inputs !== undefined && call.inputs > 1 && (status === 413 || TOO_MANY.test(words) || TOO_LONG.test(said))) {
    return { kind: 'tooMany', most: statedMost(words, call.inputs), error: tooLong(fault, call) };
  }
  if (/context_length_exceeded|exceed_context_size/.test(said) || isTooLong(words)) {
    return { kind: 'tooLong', error: tooLong(fault, call) };
  }
  if (call.inputs !== undefined && (status === 413 || (TOO_MANY.test(words) && /token/i.test(words)))) {
    return { kind: 'tooLong', error: tooLong(fault, call) };
  }
  return judgeSettings(fault, call, status);
}

function isTooLong(words: string): boolean {
  if (!TOO_LONG.test(words)) return false;
  return !LIMIT_TOO_LARGE.test(words) || /context/i.test(words);
}

/** `batch size 70 > maximum allowed batch size 32`: the size that the server itself names. */
function statedMost(words: string, inputs: number): number | undefined {
  if (!TOO_MANY.test(words) || /token/i.test(words)) return undefined;
  const most = [...words.matchAll(/\b\d+\b/g)]
    .map(([number]) => Number(number))
    .filter((one) => one >= 1 && one < inputs);
  return most.length === 1 ? most[0] : undefined;
}

function judgeSettings(fault: ServerFault, call: FailedCall, status: number | undefined): Verdict | undefined {
  if (status !== undefined && ![400, 404, 422].includes(status)) return undefined;
  const { server, body } = call;
  const { words, parameter, names } = fault.complaint;
  const said = [parameter ?? '', ...names, words].join(' ');
  const named = (name: string) => name in body && (parameter === name || isNamed(name, words));
  if (named('n') && UNKNOWN_OR_LIMITED.test(said)) {
    server.takesN = false;
    return { kind: 'adapt' };
  }
  const limit = judgeLimit(fault, call, said);
  if (limit !== undefined) return limit;
  const mentioned = PARAMETERS.filter(({ name }) => named(name));
  if (mentioned.length > 0) return leaveOut(mentioned, fault, call);
  const extra = Object.keys(body).find((name) => !KNOWN.has(name) && named(name));
  if (extra !== undefined) return { kind: 'final', error: notTaken(extra, undefined, fault, call) };
  const extras = extrasOf(body);
  return extras.length > 0 && status !== 404 && UNKNOWN_SETTING.test(said) ? leaveOut(extras, fault, call) : undefined;
}

function extrasOf(body: FailedCall['body']): Parameter[] {
  return PARAMETERS.filter(({ name }) => EXTRAS.includes(name) && name in body);
}

const UNKNOWN_OR_LIMITED = new RegExp(
  `${UNKNOWN_SETTING.source}|must|at most|only|less than|greater|maximum|>|not`,
  'i',
);

/** What every call holds, and what its own rules are about. */
const KNOWN = new Set(['model', 'messages', 'input', 'n', 'max_tokens', 'max_completion_tokens']);

/** Newer models know the limit by another name; some servers know the old one alone. */
function judgeLimit(fault: ServerFault, { server, body }: FailedCall, said: string): Verdict | undefined {
  const name = (['max_tokens', 'max_completion_tokens'] as const).find((one) => one in body);
  if (name === undefined) return undefined;
  const other = name === 'max_tokens' ? 'max_completion_tokens' : 'max_tokens';
  const { words } = fault.complaint;
  if (!isNamed(name, said) && !isNamed(other, said) && !LIMIT_TOO_LARGE.test(words)) return undefined;
  const isUnknown = UNKNOWN_SETTING.test(said) || isNamed(other, words);
  if (isUnknown && server.limitName !== name) return { kind: 'adapt' };
  if (isUnknown && !server.limitNamesTried.has(other)) {
    server.limitNamesTried.add(name).add(other);
    server.limitName = other;
    return { kind: 'adapt' };
  }
  const reason = `${server.shown} does not take this limit on new tokens${quote(fault)}`;
  return { kind: 'final', error: new UsageError(reason, { fix: 'Give a smaller --max-tokens.' }) };
}

/** Leaves out what changes nothing by its absence; names the option of what would. */
function leaveOut(refusedOnes: readonly Parameter[], fault: ServerFault, call: FailedCall): Verdict {
  const { server, body } = call;
  // Another call may have learnt of one of them since this one was sent.
  if (refusedOnes.some(({ name }) => server.leftOut.has(name))) return { kind: 'adapt' };
  // Who refuses one extra refuses the next.
  const extras = refusedOnes.some(({ name }) => EXTRAS.includes(name)) ? extrasOf(body) : [];
  const neutral = [...new Set([...refusedOnes, ...extras])].filter((parameter) => parameter.isNeutral(body));
  if (neutral.length === 0) {
    const [decisive] = refusedOnes;
    return { kind: 'final', error: notTaken(decisive!.name, decisive, fault, call) };
  }
  // Some are refused only together: what is left may be taken now.
  for (const { name } of neutral) server.leftOut.add(name);
  const told = neutral.filter(({ consequence }) => consequence !== undefined);
  if (told.length === 0) return { kind: 'adapt' };
  const notice = told.map(
    ({ name, consequence }) => `${server.shown} does not take ${name}, which is left out: ${consequence}`,
  );
  return { kind: 'adapt', notice: notice.join('; ') };
}

function notTaken(
  name: string,
  parameter: Parameter | undefined,
  fault: ServerFault,
  { server, body, id }: FailedCall,
) {
  const option = parameter?.option;
  const value = JSON.stringify(body[name])?.slice(0, 60);
  const shown = option === undefined ? name : `${option} ${value} (${name})`;
  const neutral = parameter?.neutralValue;
  const fix =
    option === undefined
      ? `Leave ${name} away, or use a server that knows it.`
      : `Give ${option} ${neutral ?? 'a value that it takes'}${neutral === undefined ? '' : ', which is then left out'}, or use a server that knows it, such as vLLM or llama-server.`;
  return new UsageError(`${server.shown} does not take ${shown}${quote(fault)}`, { id, fix, cause: fault });
}

function unreachable(fault: ServerFault, { server, id, inputs }: FailedCall): NetworkError {
  const late = fault.kind === 'late';
  const why = late || (isNothingThere(fault) && !/proxy/i.test(fault.message)) ? '' : ` (${fault.message})`;
  const proxied = proxyFix(fault);
  return new NetworkError(`${server.shown} ${late ? 'did not answer in time' : 'cannot be reached'}${why}`, {
    id,
    fix: late
      ? `Check whether the server is overloaded; ${inputs === undefined ? 'lower --concurrency, or raise --timeout' : 'lower --batch-size'}.`
      : `Check that the server runs and that the address is right; what is written so far is kept.${proxied}`,
    cause: fault,
  });
}

/** What the connection's own error says of a proxy. */
function proxyFix({ cause }: ServerFault): string {
  return cause instanceof NetworkError ? (/ \S+_PROXY is set:.*$/.exec(cause.fix)?.[0] ?? '') : '';
}

function cutShort(fault: ServerFault, { server, id }: FailedCall): NetworkError {
  return new NetworkError(`${server.shown} ${fault.message}`, {
    id,
    fix: 'Run the same command again: it goes on where it stopped. If it happens each time, look into the log of the server, or of a proxy before it.',
    cause: fault,
  });
}

function broken(fault: ServerFault, { server, id, inputs }: FailedCall): NetworkError {
  const fix =
    inputs === undefined
      ? "Look into the server's log."
      : "Look into the server's log: a model in half precision may overflow on some texts (serve it in float32), and a server of another model answers in other widths.";
  return new NetworkError(`${server.shown}: ${fault.message}`, { id, fix, cause: fault });
}

function foreign(fault: ServerFault, { server, id }: FailedCall): NetworkError {
  return new NetworkError(`${server.shown} ${fault.message}`, {
    id,
    fix: 'Check the address: it names an OpenAI-compatible server and usually ends in /v1.',
    cause: fault,
  });
}

function tooLong(fault: ServerFault, { server, id, inputs }: FailedCall): NetworkError {
  const what = inputs === undefined ? 'prompt and new tokens do not fit' : 'a text does not fit';
  const fix =
    inputs === undefined
      ? 'Give fewer new tokens (--max-tokens), shorten the query, or serve the model with a longer context.'
      : 'Lower --batch-size, or serve the model so that it takes longer texts.';
  return new NetworkError(`${server.shown}: ${what} the model's context${quote(fault)}`, { id, fix, cause: fault });
}

function busy(fault: ServerFault, { server, id, inputs }: FailedCall): NetworkError {
  return new NetworkError(`${server.shown} refuses for too many requests (429)${quote(fault)}`, {
    id,
    fix: `${inputs === undefined ? 'Lower --concurrency, or run' : 'Run'} the same command again later: it goes on where it stopped.`,
    cause: fault,
  });
}

function failed(fault: ServerFault, { server, id }: FailedCall, status: number | undefined): NetworkError {
  return new NetworkError(`${server.shown} failed ${withStatus(fault, status)}${quote(fault)}`, {
    id,
    fix: "Look into the server's log, then run the same command again: it goes on where it stopped.",
    cause: fault,
  });
}

function refused(fault: ServerFault, { server, id, model, inputs }: FailedCall, status: number | undefined) {
  const what = inputs === undefined ? 'knows the model' : 'embeds with the model';
  const versioned = /\/v\d+\w*$/.test(server.shown.split('?')[0]!);
  const fixes: Record<number, string> = {
    401: 'Set OPENAI_API_KEY to a valid key of this server.',
    402: 'The quota or credit of this key is used up; add to it, or use another key.',
    403: 'Set OPENAI_API_KEY to a key that may use this model.',
    404: `Check the address (it usually ends in /v1${versioned ? '' : ', which this one does not'}) and that the server ${what} ${JSON.stringify(model)}.`,
    405: 'Check the address: it names an OpenAI-compatible server and usually ends in /v1.',
    413: 'Send less in one call: shorter texts, fewer new tokens.',
  };
  const other =
    inputs === undefined
      ? 'Change the settings that the server complains of.'
      : `Check that the server ${what} ${JSON.stringify(model)}, and change what it complains of.`;
  return new NetworkError(`${server.shown} refuses ${withStatus(fault, status)}${quote(fault)}`, {
    id,
    fix: fixes[status ?? 0] ?? other,
    cause: fault,
  });
}

function withStatus(fault: ServerFault, status: number | undefined): string {
  if (fault.status !== undefined && fault.status >= 300) return `with status ${fault.status}`;
  return `with an error under status 200${status === undefined ? '' : ` (code ${status})`}`;
}

function quote({ complaint }: ServerFault): string {
  return complaint.words === '' ? '' : `: ${complaint.words}`;
}
