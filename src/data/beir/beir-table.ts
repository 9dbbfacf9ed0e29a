/** A place that serves the zips of BEIR. */
export interface BeirMirror {
  /** Address of the folder that contains `NAME.zip`. */
  base: string;
  /** Zips that are served in parts (`NAME.zip.part-000` and so on), each with the number of its parts. */
  parts?: Readonly<Record<string, number>>;
}

/** The places that are tried, in this order: BEIR's own server, which is often down, and the copies that bm25s publishes. */
export const BEIR_MIRRORS: readonly BeirMirror[] = [
  { base: 'https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets' },
  { base: 'https://github.com/xhluca/bm25s/releases/download/data', parts: { cqadupstack: 3 } },
];

/** Number of documents, and of judged queries of the reported split. */
export interface SetCounts {
  documents: number;
  queries: number;
}

/** A data set of the BEIR benchmark (Thakur et al. 2021, arXiv 2104.08663). */
export interface BeirSource extends Partial<SetCounts> {
  /** MD5 of the zip, as BEIR's own list of data sets publishes it. */
  md5: string;
  /** Size of the zip. */
  bytes?: number;
  /** The split on which results are reported. */
  split: 'test' | 'dev';
  /** Relevant judgements of that split. */
  relevant?: number;
  /** The data sets inside, if there are several. */
  parts?: Readonly<Record<string, SetCounts>>;
}

/** The twelve forums of CQADupStack; its score is their mean. */
const FORUMS: Readonly<Record<string, SetCounts>> = {
  android: { documents: 22_998, queries: 699 },
  english: { documents: 40_221, queries: 1_570 },
  gaming: { documents: 45_301, queries: 1_595 },
  gis: { documents: 37_637, queries: 885 },
  mathematica: { documents: 16_705, queries: 804 },
  physics: { documents: 38_316, queries: 1_039 },
  programmers: { documents: 32_176, queries: 876 },
  stats: { documents: 42_269, queries: 652 },
  tex: { documents: 68_184, queries: 2_906 },
  unix: { documents: 47_382, queries: 1_072 },
  webmasters: { documents: 17_405, queries: 506 },
  wordpress: { documents: 48_605, queries: 541 },
};

/** Documents, queries, relevant judgements, and bytes of the zip. */
type Facts = [documents: number, queries: number, relevant: number, bytes: number];

function source(md5: string, [documents, queries, relevant, bytes]: Facts, split: 'test' | 'dev' = 'test'): BeirSource {
  return { md5, split, documents, queries, relevant, bytes };
}

/** The fifteen data sets that LLM-QE is evaluated on, by name. */
export const BEIR_DATASETS: Readonly<Record<string, BeirSource>> = {
  msmarco: source('444067daf65d982533ea17ebd59501e4', [8_841_823, 6_980, 7_437, 1_082_258_632], 'dev'),
  'trec-covid': source('ce62140cb23feb9becf6270d0d1fe6d1', [171_332, 50, 24_675, 73_876_720]),
  nfcorpus: source('a89dba18a62ef92f7d323ec890a0d38d', [3_633, 323, 12_334, 2_448_432]),
  nq: source('d4d3d2e48787a744b6f6e691ff534307', [2_681_468, 3_452, 4_201, 498_307_926]),
  hotpotqa: source('f412724f78b0d91183a0e86805e16114', [5_233_329, 7_405, 14_810, 654_025_350]),
  fiqa: source('17918ed23cd04fb15047f73e6c3bd9d9', [57_638, 648, 1_706, 17_948_027]),
  arguana: source('8ad3e3c2a5867cdced806d6503f29b99', [8_674, 1_406, 1_406, 3_773_617]),
  'webis-touche2020': source('46f650ba5a527fc69e0a6521c5a23563', [382_545, 49, 932, 227_132_363]),
  cqadupstack: { md5: '4e41456d7df8ee7760a7f866133bda78', split: 'test', bytes: 5_343_728_040, parts: FORUMS },
  quora: source('18fb154900ba42a600f84b839c173167', [522_931, 10_000, 15_675, 15_853_968]),
  'dbpedia-entity': source('c2a39eb420a3164af735795df012ac2c', [4_635_922, 400, 15_286, 639_285_131]),
  scidocs: source('38121350fc3a4d2f48850f6aff52e4a9', [25_657, 1_000, 4_928, 142_471_588]),
  fever: source('5a818580227bfb4b35bb6fa46d9b6c03', [5_416_568, 6_666, 7_937, 1_236_988_269]),
  'climate-fever': source('8b66f0a9126c521bae2bde127b4dc99d', [5_416_593, 1_535, 4_681, 1_228_666_652]),
  scifact: source('5f7d1de60b170fc8027bb7898e2efca1', [5_183, 300, 339, 2_816_079]),
};

/** A set that is published as files of other formats, and converted to BEIR's layout. */
export type HubSource = SetCounts & { split: 'test' } & (
    | {
        /** Parquet files of corpus, queries and judgements in a repository of its own on the Hugging Face hub. */
        kind: 'nano';
        repository: string;
      }
    | {
        /** Parquet files of one domain of BRIGHT (Su et al., arXiv 2407.12883): documents, and examples with gold documents. */
        kind: 'bright';
        repository: string;
        domain: string;
      }
    | {
        /** Queries and judgements of a TREC track over the corpus of BEIR's msmarco. */
        kind: 'trec-dl';
        topics: PinnedAddress;
        judgements: PinnedAddress;
      }
  );

/** A file whose content is known. */
export interface PinnedAddress {
  url: string;
  md5: string;
}

function nano(name: string, documents: number, queries = 50): [string, HubSource] {
  return [name, { kind: 'nano', repository: `zeta-alpha-ai/${name}`, split: 'test', documents, queries }];
}

/** NanoBEIR: 13 sets of BEIR, cut to 50 queries and at most 10,000 documents. */
export const NANO_BEIR: Readonly<Record<string, HubSource>> = Object.fromEntries([
  nano('NanoArguAna', 3_635),
  nano('NanoClimateFEVER', 3_408),
  nano('NanoDBPedia', 6_045),
  nano('NanoFEVER', 4_996),
  nano('NanoFiQA2018', 4_598),
  nano('NanoHotpotQA', 5_090),
  nano('NanoMSMARCO', 5_043),
  nano('NanoNFCorpus', 2_953),
  nano('NanoNQ', 5_035),
  nano('NanoQuoraRetrieval', 5_046),
  nano('NanoSCIDOCS', 2_210),
  nano('NanoSciFact', 2_919),
  nano('NanoTouche2020', 5_745, 49),
]);

function bright(domain: string, documents: number, queries: number): [string, HubSource] {
  return [domain, { kind: 'bright', repository: 'xlangai/BRIGHT', domain, split: 'test', documents, queries }];
}

/** BRIGHT's twelve domains. Counts are those of the paper; later versions of the data differ by a few. */
export const BRIGHT: Readonly<Record<string, HubSource>> = Object.fromEntries([
  bright('biology', 57_364, 103),
  bright('earth_science', 122_388, 116),
  bright('economics', 50_221, 103),
  bright('psychology', 52_841, 101),
  bright('robotics', 62_198, 101),
  bright('stackoverflow', 107_100, 117),
  bright('sustainable_living', 60_732, 108),
  bright('leetcode', 413_932, 142),
  bright('pony', 7_894, 112),
  bright('aops', 188_177, 111),
  bright('theoremqa_questions', 188_177, 194),
  bright('theoremqa_theorems', 23_839, 76),
]);

const MSMARCO_FILES = 'https://msmarco.z22.web.core.windows.net/msmarcoranking';

function trecDl(year: number, queries: number, topics: string, judgements: string): [string, HubSource] {
  return [
    `trec-dl-${year}`,
    {
      ...{ kind: 'trec-dl', split: 'test', documents: 8_841_823, queries },
      topics: { url: `${MSMARCO_FILES}/msmarco-test${year}-queries.tsv.gz`, md5: topics },
      judgements: { url: `https://trec.nist.gov/data/deep/${year}qrels-pass.txt`, md5: judgements },
    },
  ];
}

/** The passage tracks of TREC Deep Learning; only queries with judgements count. */
export const TREC_DL: Readonly<Record<string, HubSource>> = Object.fromEntries([
  trecDl(2019, 43, 'eda71eccbe4d251af83150abe065368c', '2f4be390198da108f6845c822e5ada14'),
  trecDl(2020, 54, '00a406fb0d14ed3752d70d1e4eb98600', '0355ccee7509ac0463e8278186cdd8d1'),
]);
