import { UsageError } from '../system/index.ts';
import { ExpanderSource } from './expander-source.ts';
import { ServerSource } from './server-source.ts';
import type { EmbeddedQuery, Found, QueryCall, Source, SourceOptions, VectorSearch } from './source.ts';

/** @throws UsageError if neither an expander nor a server is given, or the address is not valid */
export function openSource(options: SourceOptions): Source {
  if (options.expander !== undefined) return new ExpanderSource(options.expander);
  if (options.server !== undefined) return new ServerSource(options);
  throw new UsageError('neither an expander nor a server is given', {
    fix: 'Pass { expander } from createExpander, or { server: "http://127.0.0.1:8090" }.',
  });
}

/** Embeds one query, and searches where the caller says. */
export async function findDocuments<D>(
  source: Source,
  { search }: VectorSearch<D>,
  query: string,
  top: number,
  call: QueryCall,
): Promise<Found<D>> {
  const [{ vector, expansion }] = (await source.embedQueries([query], call)) as [EmbeddedQuery];
  return { expansion, documents: await search(Float32Array.from(vector), top, call.signal) };
}

/** Rejects with the signal's own reason once it has fired, as frameworks expect it. */
export async function obeying<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  signal?.throwIfAborted();
  try {
    return await work();
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
