import { BatchMatches, Index, type Matches, MetricKind, ScalarKind } from 'usearch';
import type { Serve } from '../../system/index.ts';
import type { GraphReply, GraphRequest, GraphSettings } from './hnsw-protocol.ts';

/** The calls of the library block, so a graph lives in a thread of its own. */
export const serve: Serve<GraphSettings, GraphRequest, GraphReply> = (settings) => {
  let index = emptyGraph(settings);
  const done = (): GraphReply => ({ kind: 'done', size: index.size() });
  return {
    answer: (request) => {
      if (request.kind === 'search') {
        const value = search(index, request.queries, request.k, settings);
        return { value, transfer: [value.numbers, value.scores, value.counts].map(({ buffer }) => buffer) };
      }
      if (request.kind === 'add') index.add(keysFrom(request, settings.dimensions), request.vectors, settings.threads);
      if (request.kind === 'save') index.save(request.file);
      if (request.kind === 'load' || request.kind === 'view') {
        index = emptyGraph(settings);
        index[request.kind](request.file);
      }
      return { value: done() };
    },
  };
};

function emptyGraph({ dimensions, format, m, efConstruction, ef }: GraphSettings): Index {
  return new Index({
    ...{ dimensions, metric: MetricKind.IP, quantization: format === 'f16' ? ScalarKind.F16 : ScalarKind.F32 },
    ...{ connectivity: m, expansion_add: efConstruction, expansion_search: ef, multi: false },
  });
}

function keysFrom({ start, vectors }: { start: number; vectors: Float32Array }, dimensions: number): BigUint64Array {
  return BigUint64Array.from({ length: vectors.length / dimensions }, (_none, at) => BigInt(start + at));
}

function search(index: Index, queries: Float32Array, k: number, { dimensions, threads }: GraphSettings) {
  const count = queries.length / dimensions;
  // For a single query it returns no batch, whatever its types say.
  const found: Matches | BatchMatches = index.search(queries, k, threads);
  const lists = found instanceof BatchMatches ? Array.from({ length: count }, (_none, row) => found.get(row)) : [found];
  const counts = Uint32Array.from(lists, ({ keys }) => keys.length);
  const total = counts.reduce((sum, one) => sum + one, 0);
  const [numbers, scores] = [new Uint32Array(total), new Float32Array(total)];
  let at = 0;
  for (const { keys, distances } of lists) {
    for (const [place, key] of keys.entries()) {
      numbers[at] = Number(key);
      // The library's distance is 1 - inner product.
      scores[at++] = 1 - distances[place]!;
    }
  }
  return { kind: 'hits' as const, numbers, scores, counts };
}
