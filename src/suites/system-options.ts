import type { RetrievalSettings } from '../retrieve/index.ts';

/** Settings that BM25 alone does not read; new settings count until they are listed here. */
export const OF_DENSE = [
  'queryPrefix',
  'documentPrefix',
  'precision',
  'pooling',
  'maxLength',
  'similarity',
  'alpha',
  'expansionRole',
  'rrfK',
  'vectors',
];
/** Settings that a dense search alone does not read. */
export const OF_BM25 = ['k1', 'b', 'analyzer', 'queryRepeats', 'rrfK', 'bm25Index'];
/** Settings that a search with raw queries does not read. */
export const OF_EXPANSIONS = ['alpha', 'expansionRole', 'queryRepeats'];

const OF_ENCODER = ['encoder', 'encoderModel', 'batchSize', 'maxWait'];
const OF_FUSION = ['fusion', 'fusionWeight', 'rrfK'];
const OF_HNSW = ['hnswM', 'hnswEfConstruction', 'hnswEf'];
const OF_INDEX = ['index', ...OF_HNSW, 'vectors', 'recallSample'];

/** A system, as far as it decides which options have an effect. */
export interface Searched {
  retriever: 'dense' | 'bm25' | 'rrf';
  asIs: boolean;
  gate: string | undefined;
  retrieval: RetrievalSettings;
}

/**
 * Says which of a system's options have no effect, and why.
 * @param expanded whether it searches with expansions
 */
export function idleOptions(
  given: readonly string[],
  { retriever, asIs, gate, retrieval }: Searched,
  expanded: boolean,
): { option: string; why: string }[] {
  const rules: [options: readonly string[], isIdle: boolean, why: string][] = [
    [[...OF_ENCODER, ...OF_DENSE, ...OF_FUSION, ...OF_INDEX], retriever === 'bm25', 'with bm25'],
    // A gate reads a lexical search beside a dense one.
    [[...OF_BM25, 'fields'], retriever === 'dense' && gate === undefined, 'with dense'],
    [['queryRepeats', ...OF_FUSION], retriever === 'dense', 'with dense'],
    [['rrfK'], retrieval.fusion !== 'rrf', `with fusion ${retrieval.fusion}`],
    [OF_EXPANSIONS, !expanded, 'without expansions'],
    [OF_EXPANSIONS, asIs, 'with as-is, where the texts replace the queries'],
    [['alpha'], gate !== undefined, 'with a gate, which gives the weight'],
    [OF_HNSW, retrieval.index === 'exact', 'with an exact index'],
    [['recallSample'], retrieval.index === 'exact' && retrieval.vectors === 'f32', 'with an exact search'],
  ];
  return given.flatMap((option) => {
    const rule = rules.find(([options, isIdle]) => isIdle && options.includes(option));
    return rule === undefined ? [] : [{ option, why: rule[2] }];
  });
}
