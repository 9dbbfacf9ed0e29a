import { type BeirDataset, documentText } from '../data/index.ts';
import { Random } from '../system/index.ts';
import { beginningOf } from './first-pass.ts';
import type { Example } from './strategy.ts';

/** Where examples come from. */
export type ExampleSource = 'train' | 'llm-qe';

/** Four examples that were written for llm-qe, in the style of a web search. They are used if the data set has no training split. */
const WRITTEN: readonly Example[] = [
  {
    query: 'how long do swifts stay in the air',
    passage:
      'Swifts spend almost their whole life in flight. They feed, drink, mate and even sleep on the wing. Tags that record movement have shown that common swifts can stay in the air for up to ten months between two breeding seasons, and land only to nest.',
  },
  {
    query: 'what does a capacitor do in a circuit',
    passage:
      'A capacitor stores electric charge between two plates that are separated by an insulator. In a circuit it smooths the voltage of a power supply, blocks direct current while it lets alternating current pass, and together with a resistor or a coil it sets times and frequencies.',
  },
  {
    query: 'cost to replace a bathroom faucet',
    passage:
      'Replacing a bathroom faucet usually costs between 150 and 400 dollars. The faucet itself is 50 to 250 dollars, depending on brand and finish, and a plumber charges one to two hours of labour. The price rises if old valves or pipes under the sink have to be replaced as well.',
  },
  {
    query: 'who invented the pendulum clock',
    passage:
      'The pendulum clock was invented by the Dutch scientist Christiaan Huygens in 1656 and patented in the following year. He built on the observation of Galileo Galilei that a pendulum swings with a nearly constant period. His clock lost less than a minute a day, far less than any clock before.',
  },
];

/** The split whose queries may stand in prompts. */
const TRAIN = 'train';

/**
 * Returns examples for prompts: a seeded choice among the training queries, each with the beginning of its most relevant document,
 * or, if there are none, examples that were written for llm-qe. Queries that are to be expanded are never chosen.
 */
export async function chooseExamples(
  dataset: BeirDataset,
  count: number,
  { seed, expanded, signal }: { seed: number; expanded: ReadonlySet<string>; signal?: AbortSignal | undefined },
): Promise<{ examples: Example[]; source: ExampleSource }> {
  const own = { examples: WRITTEN.slice(0, count), source: 'llm-qe' } as const;
  if (count === 0 || !(await dataset.splits()).includes(TRAIN)) return own;
  const qrels = await dataset.qrels(TRAIN, signal);
  const golds = [...qrels]
    .filter(([query]) => !expanded.has(query))
    .flatMap(([query, grades]) => {
      const best = [...grades].filter(([, grade]) => grade > 0).sort(([, a], [, b]) => b - a)[0];
      return best === undefined ? [] : [{ query, document: best[0] }];
    });
  const shuffled = new Random(seed).shuffle(golds).slice(0, count * SPARE);
  const documents = await textsOf(dataset, new Set(shuffled.map(({ document }) => document)), signal);
  const queries = await dataset.queries({ signal });
  const examples = shuffled.flatMap(({ query, document }) => {
    const [asked, passage] = [queries.get(query)?.text.trim() ?? '', documents.get(document) ?? ''];
    return asked === '' || passage === '' ? [] : [{ query: asked, passage }];
  });
  return examples.length < count ? own : { examples: examples.slice(0, count), source: 'train' };
}

/** Judged documents may be missing or empty: more are looked up than are needed. */
const SPARE = 10;

async function textsOf(
  dataset: BeirDataset,
  ids: Set<string>,
  signal: AbortSignal | undefined,
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for await (const document of dataset.documents(signal)) {
    if (ids.delete(document.id)) texts.set(document.id, beginningOf(documentText(document)));
    if (ids.size === 0) break;
  }
  return texts;
}
