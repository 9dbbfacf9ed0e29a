import { HIDDEN, isSecretParameter, keepSecret, UsageError } from '../../system/index.ts';

/** A search engine on a server, as an address names it. */
export interface EngineAddress {
  kind: 'postgres' | 'milvus';
  /** The form that may be shown and stored, with `***` in place of secrets. */
  shown: string;
  /** The engine's own address, with its secrets, without our parameters. */
  url: URL;
  /** Name of the table or collection; undefined for one that is named by its content. */
  name: string | undefined;
  /** Whether the engine searches exactly or in an HNSW graph. */
  search: 'exact' | 'hnsw';
}

/** The addresses with secrets that this process has read, from the shown form to the typed form. */
const typedAs = new Map<string, string>();

const EXAMPLES =
  'Write postgres://USER:PASSWORD@HOST/DATABASE or milvus:http://HOST:19530, with ?search=hnsw for an HNSW graph.';

/** What PostgreSQL and Milvus both accept as a name, without quotes. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;

export function isEngineAddress(index: string): boolean {
  return /^\s*(postgres|postgresql|milvus):/i.test(index);
}

/**
 * Parses `postgres://...[?table=NAME]` or `milvus:http://...[/COLLECTION]`, each with `search=exact|hnsw`. User and password are
 * neither shown nor stored.
 * @throws UsageError
 */
export function parseEngineAddress(address: string): EngineAddress {
  const typed = restoreSecrets(address.trim());
  const kind = /^milvus:/i.test(typed) ? 'milvus' : 'postgres';
  const text = typed.replace(/^milvus:/i, '');
  if (!URL.canParse(text) || !(kind === 'milvus' ? /^https?:\/\/[^/]/i : /^postgres(ql)?:\/\//i).test(text)) {
    throw new UsageError(`${JSON.stringify(address)} is not the address of a search engine`, { fix: EXAMPLES });
  }
  const url = new URL(text);
  const shown = `${kind === 'milvus' ? 'milvus:' : ''}${shownForm(url)}`;
  if (shown.includes(HIDDEN)) typedAs.set(shown, typed);
  return { kind, shown, ...takeOurs(kind, url), url };
}

/** Removes our own parts from the address. */
function takeOurs(kind: EngineAddress['kind'], url: URL): Pick<EngineAddress, 'name' | 'search'> {
  const parameters = url.searchParams;
  const search = parameters.get('search') ?? 'exact';
  if (search !== 'exact' && search !== 'hnsw') {
    throw new UsageError(`search=${search} is neither exact nor hnsw`, { fix: EXAMPLES });
  }
  const path = decodeURIComponent(url.pathname.replace(/^\/|\/$/g, ''));
  const name = kind === 'postgres' ? (parameters.get('table') ?? undefined) : path || undefined;
  if (name !== undefined && !NAME.test(name)) {
    const fix = 'Use letters, digits and underscores, and begin with a letter.';
    throw new UsageError(`${JSON.stringify(name)} cannot be the name of a table or collection`, { fix });
  }
  parameters.delete('search');
  parameters.delete('table');
  if (kind === 'milvus') url.pathname = '/';
  return { name, search };
}

function shownForm(url: URL): string {
  const secret = url.username !== '' || url.password !== '';
  keepSecret(decodeURIComponent(url.password));
  const pairs = [...url.searchParams].map(([name, value]) => {
    if (!isSecretParameter(name)) return new URLSearchParams([[name, value]]).toString();
    keepSecret(value);
    return `${name}=${HIDDEN}`;
  });
  const query = pairs.length === 0 ? '' : `?${pairs.join('&')}`;
  return `${url.protocol}//${secret ? `${HIDDEN}@` : ''}${url.host}${url.pathname.replace(/\/$/, '')}${query}`;
}

function restoreSecrets(address: string): string {
  if (!address.includes(HIDDEN)) return address;
  const typed = typedAs.get(address);
  if (typed !== undefined) return typed;
  throw new UsageError(`${address} has ${HIDDEN} in place of a secret`, {
    fix: 'Write the address with its password or key. Neither is ever stored.',
  });
}
