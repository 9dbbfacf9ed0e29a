import { type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { takeCredentials } from './credentials.ts';
import { UsageError } from './errors.ts';

let current: { key: string; dispatcher: Dispatcher } | undefined;

/**
 * What carries requests: the proxies that the environment names (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, in either case), else the
 * network itself. Time limits are the caller's.
 * @throws UsageError for a proxy that is no address
 */
export function dispatcherOf(environment: NodeJS.ProcessEnv = process.env): Dispatcher {
  const httpProxy = proxyOf(environment, 'HTTP_PROXY');
  const httpsProxy = proxyOf(environment, 'HTTPS_PROXY');
  const noProxy = environment.no_proxy ?? environment.NO_PROXY ?? '';
  const key = JSON.stringify([httpProxy, httpsProxy, noProxy]);
  if (current?.key === key) return current.dispatcher;
  const dispatcher = new EnvHttpProxyAgent({
    ...{ httpProxy: httpProxy ?? '', httpsProxy: httpsProxy ?? '', noProxy },
    ...{ headersTimeout: 0, bodyTimeout: 0 },
    // A proxy is asked for plain HTTP as such; many open a tunnel to port 443 alone.
    proxyTunnel: false,
  });
  current = { key, dispatcher };
  return dispatcher;
}

/** Says which proxy may be at fault where an address cannot be reached; empty without one. */
export function proxyHint(protocol: string, environment: NodeJS.ProcessEnv = process.env): string {
  const names = protocol === 'https:' ? ['HTTPS_PROXY', 'HTTP_PROXY'] : ['HTTP_PROXY'];
  const set = names.find((name) => proxyOf(environment, name) !== undefined);
  return set === undefined ? '' : ` ${set} is set: check that proxy, or name the host in NO_PROXY.`;
}

function proxyOf(environment: NodeJS.ProcessEnv, name: string): string | undefined {
  const written = (environment[name.toLowerCase()] || environment[name])?.trim();
  if (!written) return undefined;
  const full = written.includes('://') ? written : `http://${written}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  // Who it lets in is nobody else's business.
  if (url !== undefined) takeCredentials(new URL(url));
  if (url !== undefined && ['http:', 'https:'].includes(url.protocol) && url.hostname !== '') return url.href;
  throw new UsageError(`${name} is not the address of an HTTP proxy`, { fix: `Set ${name} to http://HOST:PORT.` });
}
