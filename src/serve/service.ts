import type { Expander } from './expander.ts';
import { RequestError } from './request-error.ts';
import type { ServedIndex } from './served-index.ts';

/** What requests are answered with. */
export interface Service {
  expander: Expander;
  /** By name. */
  indexes: ReadonlyMap<string, ServedIndex>;
}

/** @throws RequestError if there is none of this name, or none is named and there are several */
export function chooseIndex(indexes: Service['indexes'], name: string | undefined): ServedIndex {
  const names = [...indexes.keys()];
  if (names.length === 0) {
    throw new RequestError(404, 'there is no index', { fix: 'Start the server with --index DIR.' });
  }
  const index = indexes.get(name ?? (names.length === 1 ? names[0]! : ''));
  if (index !== undefined) return index;
  const shown = JSON.stringify(name?.slice(0, 100));
  const reason = name === undefined ? 'index: there are several' : `index: there is no ${shown}`;
  throw new RequestError(400, reason, { fix: `Use one of: ${names.join(', ')}.` });
}
