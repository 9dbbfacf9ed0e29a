/**
 * Chooses alpha on development queries, which is what they are for; test queries are never tuned on.
 *   npx llm-qe demo
 *   npx llm-qe expand --dataset runs/demo/wordnet --split dev --max-tokens 96 --out runs/demo/dev.jsonl
 *   npm run example -- choose-alpha runs/demo/wordnet runs/demo/dev.jsonl
 */
import {
  BeirDataset,
  CorpusSearch,
  compareArms,
  defaultRetrievalSettings,
  joinExpansions,
  loadTopics,
  runArm,
} from 'llm-qe';

const [folder = 'runs/demo/wordnet', expansions = 'runs/demo/dev.jsonl'] = process.argv.slice(2);
const dataset = await BeirDataset.open(folder);
const raw = await loadTopics(dataset, 'dev');
const search = new CorpusSearch(dataset, defaultRetrievalSettings());
try {
  const options = { depth: 1000, dropSelf: true };
  const topics = await joinExpansions(raw, expansions);
  for (const alpha of [0.1, 0.3, 0.5, 0.7]) {
    const retriever = await search.retriever('dense', { alpha });
    const before = await runArm({ name: 'raw', description: '', retriever, topics: raw }, options);
    const after = await runArm({ name: 'expanded', description: '', retriever, topics }, options);
    const { delta, helped, hurt } = compareArms(before, after, 'nDCG@10', 42);
    console.log(`alpha ${alpha}: nDCG@10 ${delta >= 0 ? '+' : ''}${delta.toFixed(4)}, ${helped} helped, ${hurt} hurt`);
  }
} finally {
  await search.close();
}
