import { ConnectionError, NetworkError, UsageError } from '../system/index.ts';
import {
  broken,
  busy,
  cutShort,
  type FailedCall,
  failed,
  foreign,
  notTaken,
  quote,
  refused,
  tooLong,
  unreachable,
} from './failure-errors.ts';
import { EXTRAS, isNamed, PARAMETERS, type Parameter } from './parameters.ts';
import type { Server } from './server.ts';
import { isNothingThere, type ServerFault } from './server-fault.ts';

/** What to do after a failed call. */
export type Verdict =
  /** Repeat the request in another form: the server's refusal showed which form it accepts. */
  | { kind: 'adapt'; notice?: string }
  /** Try again: on this server after the time that it requests, or on another server. */
  | {
      kind: 'again';
      afterSeconds: number | undefined;
      mostRetries?: number;
      /** The server may fail because of the number of texts, which it does not say. */
      mayBeTooMany?: { most: number | undefined } | undefined;
      error: NetworkError;
    }
  /** Give up or cut: a text is longer than the model's context. */
  | { kind: 'tooLong'; error: NetworkError }
  /** Go on without it: a content filter refuses this prompt, whatever its form. */
  | { kind: 'filtered'; error: NetworkError }
  /** Split: there are more texts, or more tokens in total, than the server accepts in one call. */
  | { kind: 'tooMany'; most: number | undefined; isGuess?: boolean; error: NetworkError }
  /** Fail: another attempt would have the same result. */
  | { kind: 'final'; error: Error };

const TOO_LONG =
  /context[ _-]?(length|size|window)|max_seq_len|(prompt|input|message)s?[ _]length|inputs?`? tokens \+|max_tokens.{0,40}got -\d|(at most|more than|maximum of|up to) [\d,]+ (characters|chars)\b|maximum context|(prompt|input|inputs|message|messages|sequence|text|query)\b.{0,60}\b(too long|too large|exceed|longer|must have less than)|too many (input |prompt )?tokens|maximum.{0,40}\btokens|tokens?\b.{0,60}\bexceed|exceed.{0,60}\b(tokens?|context|sequence length)|larger than the (max|maximum|physical batch)|too large to process/i;
/** Complaints about the limit on new tokens alone, whatever the prompt. */
const LIMIT_TOO_LARGE =
  /max_(completion_)?tokens.{0,40}(too large|at most|less than|must be|maximum)|completion tokens/i;
const TOO_MANY =
  /batch[ _]?size|(maximum|max|limit|at most|no more than|fewer than|too many|exceed\w*|number of).{0,50}\b(inputs?|items?|texts?|strings?|documents?|sequences|elements|entries|instances)\b|\b(inputs?|items?|texts?|array|list)\b.{0,40}\b(at most|too many|too large|no more than|exceed)|tokens per (request|batch)|out of memory|failed to allocate|total (number of )?tokens|request too large|payload too large|entity too large|body.{0,20}too large/i;
/** That `input` must be one string. */
const ONE_TEXT =
  /\binputs?\b.{0,80}\b(valid string|be a string|of type string|str type|string type|single (text|string|input))|(unmarshal|deserialize) array.{0,120}\bstring\b|sequence, expected a string|expected (a |type )?(str|string)\b.{0,40}\b(list|array|sequence)|only (one|a single) (input|text|string)|(list|array)s?( of \w+)? (is|are) not supported/i;
const UNKNOWN_SETTING =
  /unrecognized|unrecognised|unknown|unexpected|unsupported|not supported|does not support|not permitted|not allowed|extra|forbidden|deprecated/i;
/** How servers speak of `n` without its name. */
const SEVERAL =
  /\b(one|single|multiple|several)\b.{0,20}\b(completion|choice|candidate|generation|sample|response|output|sequence)s?\b/i;
/** That answers come in a stream or not at all. */
const STREAM_ONLY =
  /\bstream(ing)?\b.{0,40}\b(only|must|required|enable|true|mode)\b|\b(only|must|requires?|enable)\b.{0,40}\bstream|non-?streaming/i;
const PASSING =
  /rate.?limit|too many requests|overload|temporar|try again|timed? ?out|unavailable|loading|capacity|busy|slow down|throttl|resource.?exhausted/i;
/** A content filter's refusal, in the codes and words of Azure, OpenAI, Gemini, Alibaba, Zhipu, MiniMax, Bedrock, OpenRouter. */
const FILTER =
  /content[_ -]?(filter|polic|management|moderation|safety)|ResponsibleAI|data[_ ]?inspection|blockReason|promptFeedback|moderation|guardrail|safety (system|filter|setting|polic)|usage polic|new_sensitive|敏感|不安全|(violat|flagged|inappropriate|sensitive|harmful|unsafe|prohibited).{0,40}\b(content|input|prompt|polic)|\b(content|input|prompt)\b.{0,40}(flagged|violat|inappropriate|harmful|unsafe|blocked)/i;
const FILTERING = new Set([400, 403, 422, 451, 446, 500]);
const OUT_OF_CREDIT = /insufficient[_ ](quota|credits?|balance|funds)|billing[_ ](hard|limit|not)|payment required/i;

/**
 * Decides what to do after a failed call. This is the one table of servers' faults, for generators and encoders. Settings that a
 * server refuses are recorded on {@link Server}.
 */
export function judgeFailure(fault: ServerFault, call: FailedCall): Verdict {
  switch (fault.kind) {
    case 'unreachable':
      if (isLasting(fault)) return { kind: 'final', error: unreachable(fault, call) };
      return {
        ...again(fault, unreachable(fault, call)),
        mayBeTooMany: isNothingThere(fault) ? undefined : many(call),
      };
    case 'late':
      return { ...again(fault, unreachable(fault, call)), mayBeTooMany: many(call) };
    case 'cut':
      return { ...again(fault, cutShort(fault, call)), mayBeTooMany: many(call) };
    case 'broken':
      // A momentary fault has passed by then. A model that cannot embed a text never will.
      return {
        ...again(fault, broken(fault, call)),
        mostRetries: 2,
        // Some servers embed the first text of a list and leave out the others.
        mayBeTooMany: fault.vectors === 1 && many(call) ? { most: 1 } : undefined,
      };
    case 'foreign':
      return { kind: 'final', error: foreign(fault, call) };
    case 'refused':
      return judgeRefusal(fault, call);
  }
}

function again(fault: ServerFault, error: NetworkError): Extract<Verdict, { kind: 'again' }> {
  return { kind: 'again', afterSeconds: fault.retryAfterSeconds, error };
}

/** Whether a call embeds several texts: a process that dies of a large batch does not say so. */
function many({ inputs = 1 }: FailedCall): { most: undefined } | undefined {
  return inputs > 1 ? { most: undefined } : undefined;
}

/** Whether another attempt would fail in the same way: a redirect that leads nowhere, an invalid certificate. */
function isLasting({ cause }: ServerFault): boolean {
  return cause instanceof NetworkError && !(cause instanceof ConnectionError);
}

/** Statuses under which servers complain about the request itself. Some send 500 if a text is too long. */
const COMPLAINTS = new Set([400, 404, 413, 422, 500, 501]);

function judgeRefusal(fault: ServerFault, call: FailedCall): Verdict {
  const { words, names } = fault.complaint;
  const said = [...names, words].join(' ');
  const status = statusOf(fault, said);
  if (isFiltered(fault, call, said, status)) return { kind: 'filtered', error: refused(fault, call, status) };
  const tooLarge = status === 429 && /request too large/i.test(words);
  if (status === undefined || COMPLAINTS.has(status) || tooLarge) {
    const verdict = judgeComplaint(fault, call, said, status);
    if (verdict !== undefined) return verdict;
  }
  if (status === 402 || OUT_OF_CREDIT.test(said)) return { kind: 'final', error: refused(fault, call, 402) };
  if (status === 429) return again(fault, busy(fault, call));
  const passes = status === undefined ? PASSING.test(said) : status >= 500 || [408, 409, 425].includes(status);
  if (passes && status !== 501) {
    const isBare =
      status !== undefined && status >= 500 && !PASSING.test(said) && fault.retryAfterSeconds === undefined;
    return { ...again(fault, failed(fault, call, status)), mayBeTooMany: isBare ? many(call) : undefined };
  }
  return { kind: 'final', error: refused(fault, call, status) };
}

/** An encoder cannot go on without a vector, so a filter's refusal ends its work like any other. */
function isFiltered(
  { complaint }: ServerFault,
  { inputs, body }: FailedCall,
  said: string,
  status: number | undefined,
) {
  if (inputs !== undefined || !('messages' in body)) return false;
  if (status !== undefined && !FILTERING.has(status)) return false;
  return FILTER.test([complaint.parameter ?? '', said].join(' '));
}

/** Returns the answer's status; for an error under status 200, the status that its body implies. */
function statusOf({ status, complaint }: ServerFault, said: string): number | undefined {
  if (status !== undefined && status >= 300) return status;
  if (complaint.status !== undefined) return complaint.status;
  if (/rate.?limit|too_many_requests|RESOURCE_EXHAUSTED/i.test(said)) return 429;
  if (/overloaded|UNAVAILABLE|server_error|internal/i.test(said)) return 503;
  return /invalid|BadRequest|context_length/i.test(said) ? 400 : undefined;
}

/** Sends texts one by one and not in a list. Returns undefined if that was tried. */
function giveOneText({ server, body, inputs = 1 }: FailedCall, error: NetworkError): Verdict | undefined {
  if (!Array.isArray(body.input)) return undefined;
  server.oneText = true;
  return inputs > 1 ? { kind: 'tooMany', most: 1, error } : { kind: 'adapt' };
}

/** Returns undefined if the message names nothing that could be changed in the request. */
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
  if (call.inputs !== undefined && TOO_MANY.test(words) && /token/i.test(words)) {
    return { kind: 'tooLong', error: tooLong(fault, call) };
  }
  if (status === 413 || status === 429) return { kind: 'tooLong', error: refused(fault, call, 413) };
  if (call.inputs !== undefined && ONE_TEXT.test(words)) {
    const verdict = giveOneText(call, tooLong(fault, call));
    if (verdict !== undefined) return verdict;
  }
  const verdict = judgeSettings(fault, call, status);
  if (verdict !== undefined) return verdict;
  if (call.inputs === 1 && [400, 422, 500].includes(status ?? 0) && !PASSING.test(said)) {
    // No call was ever answered: a list may be what it does not understand.
    return call.server.taken.has('input') ? undefined : giveOneText(call, tooLong(fault, call));
  }
  if ((call.inputs ?? 1) === 1 || ![400, 422].includes(fault.status ?? 0)) return undefined;
  // It took one text when it was connected to: fewer may do, and of one alone it says what is wrong with it.
  return { kind: 'tooMany', most: undefined, error: tooLong(fault, call) };
}

function isTooLong(words: string): boolean {
  if (!TOO_LONG.test(words)) return false;
  return !LIMIT_TOO_LARGE.test(words) || /context|max_seq_len|got -\d/i.test(words);
}

/** `batch size 70 > maximum allowed batch size 32`: returns the size that the server names. */
function statedMost(words: string, inputs: number): number | undefined {
  if (!TOO_MANY.test(words) || /token|memory|allocat/i.test(words)) return undefined;
  const most = [...words.matchAll(/\b\d+\b/g)]
    .map(([number]) => Number(number))
    .filter((one) => one >= 1 && one < inputs);
  return most.length === 1 ? most[0] : undefined;
}

function judgeSettings(fault: ServerFault, call: FailedCall, status: number | undefined): Verdict | undefined {
  const { server, body } = call;
  const { words, parameter, names } = fault.complaint;
  const said = [parameter ?? '', ...names, words].join(' ');
  const named = (name: string) => name in body && (parameter === name || isNamed(name, words));
  if (named('n') || ('n' in body && SEVERAL.test(words))) return oneEach(server);
  if (status !== undefined && ![400, 404, 422].includes(status)) return undefined;
  if (call.inputs === undefined && !('stream' in body) && STREAM_ONLY.test(said)) {
    server.streams = true;
    return { kind: 'adapt' };
  }
  const limit = judgeLimit(fault, call, said);
  if (limit !== undefined) return limit;
  const mentioned = PARAMETERS.filter(({ name }) => named(name));
  if (mentioned.length > 0) return leaveOut(mentioned, fault, call);
  const extra = Object.keys(body).find((name) => !KNOWN.has(name) && named(name));
  if (extra !== undefined) return { kind: 'final', error: notTaken(extra, undefined, fault, call) };
  const extras = extrasOf(body);
  if (extras.length > 0 && status !== 404 && UNKNOWN_SETTING.test(said)) return leaveOut(extras, fault, call);
  return [400, 422].includes(fault.status ?? 0) ? leaveOutUntried(call) : undefined;
}

function oneEach(server: Server): Verdict {
  server.takesN = false;
  return { kind: 'adapt' };
}

/** A refusal that explains nothing may be about what this server was never seen to take. */
function leaveOutUntried({ server, body }: FailedCall): Verdict | undefined {
  if ('n' in body && !server.taken.has('n')) return oneEach(server);
  const extras = extrasOf(body).filter((extra) => extra.isNeutral(body) && !server.taken.has(extra.name));
  for (const { name } of extras) server.leftOut.add(name);
  return extras.length > 0 ? { kind: 'adapt' } : undefined;
}

function extrasOf(body: FailedCall['body']): Parameter[] {
  return PARAMETERS.filter(({ name }) => EXTRAS.includes(name) && name in body);
}

/** Fields of every call, which have rules of their own. */
const KNOWN = new Set(['model', 'messages', 'input', 'n', 'max_tokens', 'max_completion_tokens']);

/** Newer models have another name for the limit; some servers know only the old one. */
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
  const reason = `${server.shown} does not accept this limit on new tokens${quote(fault)}`;
  return { kind: 'final', error: new UsageError(reason, { fix: 'Lower --max-tokens.' }) };
}

/** Omits settings whose absence changes nothing. For any other setting, returns an error that names its option. */
function leaveOut(refusedOnes: readonly Parameter[], fault: ServerFault, call: FailedCall): Verdict {
  const { server, body } = call;
  // Another call may have learnt about one of them since this one was sent.
  if (refusedOnes.some(({ name }) => server.leftOut.has(name))) return { kind: 'adapt' };
  // A server that refuses one extra refuses the others too.
  const extras = refusedOnes.some(({ name }) => EXTRAS.includes(name)) ? extrasOf(body) : [];
  const neutral = [...new Set([...refusedOnes, ...extras])].filter((parameter) => parameter.isNeutral(body));
  if (neutral.length === 0) {
    const [decisive] = refusedOnes;
    return { kind: 'final', error: notTaken(decisive!.name, decisive, fault, call) };
  }
  // Some settings are refused only together: the remaining one may be accepted now.
  for (const { name } of neutral) server.leftOut.add(name);
  const told = neutral.filter(({ consequence }) => consequence !== undefined);
  if (told.length === 0) return { kind: 'adapt' };
  const notice = told.map(
    ({ name, consequence }) => `${server.shown} does not support ${name}, which is omitted: ${consequence}`,
  );
  return { kind: 'adapt', notice: notice.join('; ') };
}
