export { buildWordnetDataset } from './dataset.ts';
export { type WordnetManifest, type WordnetOptions, wordnetOptions } from './settings.ts';
