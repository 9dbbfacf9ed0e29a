import { NetworkError, UsageError } from '../system/index.ts';
import type { Parameter } from './parameters.ts';
import type { Server } from './server.ts';
import { isNothingThere, type ServerFault } from './server-fault.ts';

/** The parts of a request that matter to the verdict. */
export interface FailedCall {
  server: Server;
  model: string;
  /** Id of the request, for error messages. */
  id?: string | undefined;
  /** The body that was sent. Other calls may have learnt more about the server since. */
  body: Readonly<Record<string, unknown>>;
  /** Number of texts sent for embedding; undefined for a chat. */
  inputs?: number | undefined;
}

export function notTaken(
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
      ? `Omit ${name}, or use a server that supports it.`
      : `Pass ${option} ${neutral ?? 'with a value that the server accepts'}${neutral === undefined ? '' : ', which is then omitted'}, or use a server that supports it, such as vLLM or llama-server.`;
  return new UsageError(`${server.shown} does not support ${shown}${quote(fault)}`, { id, fix, cause: fault });
}

export function unreachable(fault: ServerFault, { server, id, inputs }: FailedCall): NetworkError {
  const late = fault.kind === 'late';
  const why = late || (isNothingThere(fault) && !/proxy/i.test(fault.message)) ? '' : ` (${fault.message})`;
  const proxied = proxyFix(fault);
  return new NetworkError(`${server.shown} ${late ? 'did not answer in time' : 'cannot be reached'}${why}`, {
    id,
    fix: late
      ? `Check whether the server is overloaded; ${inputs === undefined ? 'lower --concurrency, or raise --timeout' : 'lower --batch-size'}.`
      : `Check that the server runs and that the address is right. Finished work is kept.${proxied}`,
    cause: fault,
  });
}

/** Returns the hint about a proxy from the connection's own error. */
function proxyFix({ cause }: ServerFault): string {
  return cause instanceof NetworkError ? (/ \S+_PROXY is set:.*$/.exec(cause.fix)?.[0] ?? '') : '';
}

export function cutShort(fault: ServerFault, { server, id }: FailedCall): NetworkError {
  return new NetworkError(`${server.shown} ${fault.message}`, {
    id,
    fix: 'Run the same command again: it resumes where it stopped. If this happens every time, check the log of the server, or of a proxy in front of it.',
    cause: fault,
  });
}

export function broken(fault: ServerFault, { server, id, inputs }: FailedCall): NetworkError {
  const fix =
    inputs === undefined
      ? "Check the server's log."
      : "Check the server's log. A model in half precision may overflow on some texts (serve it in float32). A server with another model returns vectors of another width.";
  return new NetworkError(`${server.shown}: ${fault.message}`, { id, fix, cause: fault });
}

export function foreign(fault: ServerFault, { server, id }: FailedCall): NetworkError {
  return new NetworkError(`${server.shown} ${fault.message}`, {
    id,
    fix: 'Check the address: it must be that of an OpenAI-compatible server and usually ends in /v1.',
    cause: fault,
  });
}

export function tooLong(fault: ServerFault, { server, id, inputs }: FailedCall): NetworkError {
  const what = inputs === undefined ? 'prompt and new tokens do not fit' : 'a text does not fit';
  const fix =
    inputs === undefined
      ? 'Lower --max-tokens, shorten the query, or serve the model with a longer context.'
      : 'Lower --batch-size, or serve the model with a larger limit on texts.';
  return new NetworkError(`${server.shown}: ${what} the model's context${quote(fault)}`, { id, fix, cause: fault });
}

export function busy(fault: ServerFault, { server, id, inputs }: FailedCall): NetworkError {
  return new NetworkError(`${server.shown} received too many requests (429)${quote(fault)}`, {
    id,
    fix: `${inputs === undefined ? 'Lower --concurrency, or run' : 'Run'} the same command again later: it resumes where it stopped.`,
    cause: fault,
  });
}

export function failed(fault: ServerFault, { server, id }: FailedCall, status: number | undefined): NetworkError {
  return new NetworkError(`${server.shown} failed ${withStatus(fault, status)}${quote(fault)}`, {
    id,
    fix: "Check the server's log, then run the same command again: it resumes where it stopped.",
    cause: fault,
  });
}

export function refused(fault: ServerFault, { server, id, model, inputs }: FailedCall, status: number | undefined) {
  const what = inputs === undefined ? 'knows the model' : 'embeds with the model';
  const versioned = /\/v\d+\w*$/.test(server.shown.split('?')[0]!);
  const fixes: Record<number, string> = {
    401: 'Set OPENAI_API_KEY to a valid key of this server.',
    402: 'The quota or credit of this key is used up. Increase it, or use another key.',
    403: 'Set OPENAI_API_KEY to a key with access to this model.',
    404: `Check the address (it usually ends in /v1${versioned ? '' : ', but this one does not'}) and that the server ${what} ${JSON.stringify(model)}.`,
    405: 'Check the address: it must be that of an OpenAI-compatible server and usually ends in /v1.',
    413: 'Send less per call: shorter texts, fewer new tokens.',
  };
  const other =
    inputs === undefined
      ? 'Change the settings that the server complains about.'
      : `Check that the server ${what} ${JSON.stringify(model)}, and change what it complains about.`;
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

export function quote({ complaint }: ServerFault): string {
  return complaint.words === '' ? '' : `: ${complaint.words}`;
}
