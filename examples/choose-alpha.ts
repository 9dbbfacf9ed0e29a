/**
 * Chooses alpha on development queries. Never tune on test queries.
 *   npx llm-qe demo
 *   npx llm-qe expand --dataset runs/demo/wordnet --split dev --max-tokens 96 --out runs/demo/dev.jsonl
 *   npm run example -- choose-alpha runs/demo/wordnet runs/demo/dev.jsonl
 */
import { BeirDataset, CorpusSearch, defaultRetrievalSettings, joinExpansions, loadTopics, tuneAlpha } from 'llm-qe';

const [folder = 'runs/demo/wordnet', expansions = 'runs/demo/dev.jsonl', encoder = 'all-minilm-l6-v2'] =
  process.argv.slice(2);
const dataset = await BeirDataset.open(folder);
const topics = await joinExpansions(await loadTopics(dataset, 'dev'), expansions);
const search = new CorpusSearch(dataset, defaultRetrievalSettings({ encoder }));
try {
  const options = { alphas: [0, 0.1, 0.3, 0.5, 0.7], measure: 'nDCG@10', depth: 1000, keepSelf: false };
  const { alpha: best, points } = await tuneAlpha(search, topics, options);
  for (const { alpha, value } of points) console.log(`alpha ${alpha}: nDCG@10 ${value.toFixed(4)}`);
  console.log(`best: ${best}`);
} finally {
  await search.close();
}
