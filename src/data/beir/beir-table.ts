/** Where the data sets of BEIR are published. */
export const BEIR_URL = 'https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets';

/** A data set of the BEIR benchmark (Thakur et al. 2021, arXiv 2104.08663). */
export interface BeirSource {
  /** MD5 of the zip, as BEIR's own list of data sets publishes it. */
  md5: string;
  /** The split on which results are reported. */
  split: 'test' | 'dev';
  /** The data sets inside, if there are several. */
  parts?: readonly string[];
}

/** The twelve forums of CQADupStack; its score is their mean. */
const FORUMS = [
  'android',
  'english',
  'gaming',
  'gis',
  'mathematica',
  'physics',
  'programmers',
  'stats',
  'tex',
  'unix',
  'webmasters',
  'wordpress',
] as const;

/** The fifteen data sets that LLM-QE is evaluated on, by name. */
export const BEIR_DATASETS: Readonly<Record<string, BeirSource>> = {
  msmarco: { md5: '444067daf65d982533ea17ebd59501e4', split: 'dev' },
  'trec-covid': { md5: 'ce62140cb23feb9becf6270d0d1fe6d1', split: 'test' },
  nfcorpus: { md5: 'a89dba18a62ef92f7d323ec890a0d38d', split: 'test' },
  nq: { md5: 'd4d3d2e48787a744b6f6e691ff534307', split: 'test' },
  hotpotqa: { md5: 'f412724f78b0d91183a0e86805e16114', split: 'test' },
  fiqa: { md5: '17918ed23cd04fb15047f73e6c3bd9d9', split: 'test' },
  arguana: { md5: '8ad3e3c2a5867cdced806d6503f29b99', split: 'test' },
  'webis-touche2020': { md5: '46f650ba5a527fc69e0a6521c5a23563', split: 'test' },
  cqadupstack: { md5: '4e41456d7df8ee7760a7f866133bda78', split: 'test', parts: FORUMS },
  quora: { md5: '18fb154900ba42a600f84b839c173167', split: 'test' },
  'dbpedia-entity': { md5: 'c2a39eb420a3164af735795df012ac2c', split: 'test' },
  scidocs: { md5: '38121350fc3a4d2f48850f6aff52e4a9', split: 'test' },
  fever: { md5: '5a818580227bfb4b35bb6fa46d9b6c03', split: 'test' },
  'climate-fever': { md5: '8b66f0a9126c521bae2bde127b4dc99d', split: 'test' },
  scifact: { md5: '5f7d1de60b170fc8027bb7898e2efca1', split: 'test' },
};
