import type { Dispatcher } from 'undici';
import { UsageError } from '../errors.ts';
import { takeCredentials } from './credentials.ts';

let current: { key: string; dispatcher: Dispatcher } | undefined;

/**
 * Returns the dispatcher for requests: the proxies in the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, in upper or lower
 * case), otherwise a direct connection. Time limits are the caller's.
 * @param undici is loaded by the caller, with the first request: most commands send none
 * @throws UsageError if the address of a proxy is not valid
 */
export function dispatcherOf(
  { EnvHttpProxyAgent }: Pick<typeof import('undici'), 'EnvHttpProxyAgent'>,
  environment: NodeJS.ProcessEnv = process.env,
): Dispatcher {
  const httpProxy = proxyOf(environment, 'HTTP_PROXY');
  const httpsProxy = proxyOf(environment, 'HTTPS_PROXY');
  const noProxy = environment.no_proxy ?? environment.NO_PROXY ?? '';
  const key = JSON.stringify([httpProxy, httpsProxy, noProxy]);
  if (current?.key === key) return current.dispatcher;
  const dispatcher = new EnvHttpProxyAgent({
    ...{ httpProxy: httpProxy ?? '', httpsProxy: httpsProxy ?? '', noProxy },
    ...{ headersTimeout: 0, bodyTimeout: 0 },
    // Plain HTTP is sent to a proxy as such: many proxies open tunnels only to port 443.
    proxyTunnel: false,
  });
  current = { key, dispatcher };
  return dispatcher;
}

/** Names the proxy that may be at fault if an address cannot be reached; empty without a proxy. */
export function proxyHint(protocol: string, environment: NodeJS.ProcessEnv = process.env): string {
  const names = protocol === 'https:' ? ['HTTPS_PROXY', 'HTTP_PROXY'] : ['HTTP_PROXY'];
  const set = names.find((name) => proxyOf(environment, name) !== undefined);
  return set === undefined ? '' : ` ${set} is set: check that proxy, or add the host to NO_PROXY.`;
}

function proxyOf(environment: NodeJS.ProcessEnv, name: string): string | undefined {
  const written = (environment[name.toLowerCase()] || environment[name])?.trim();
  if (!written) return undefined;
  const full = written.includes('://') ? written : `http://${written}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  // The proxy's credentials must not be shown.
  if (url !== undefined) takeCredentials(new URL(url));
  if (url !== undefined && ['http:', 'https:'].includes(url.protocol) && url.hostname !== '') return url.href;
  throw new UsageError(`${name} is not the address of an HTTP proxy`, { fix: `Set ${name} to http://HOST:PORT.` });
}
