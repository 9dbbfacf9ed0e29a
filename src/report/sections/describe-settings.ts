import type { BeirDataset, Expansion } from '../../data/index.ts';
import type { Arm } from '../../evaluate/index.ts';
import { describeSelfRetrieval } from '../../measures/index.ts';
import { contentKey } from '../../system/index.ts';
import type { ReportData } from '../report-data.ts';

type Section = ReportData['settings'][number];

/**
 * Returns what a reader needs to reproduce the results: data, searches and expansions, with their hashes.
 *
 * @param provenance what is known about how the expansions were made
 */
export async function describeSettings(
  dataset: BeirDataset,
  arms: readonly Arm[],
  expansions: readonly Expansion[],
  seed: number,
  provenance: Section[1] = [],
): Promise<Section[]> {
  const sections: Section[] = [
    [
      'Data',
      [
        ['data set', dataset.name],
        ['corpus SHA-256', await dataset.corpusHash()],
        ['queries, judgements key', arms[0] === undefined ? '' : topicsKey(arms[0])],
        ['seed', String(seed)],
        ...(arms[0] === undefined ? [] : [selfRule(arms[0])]),
      ],
    ],
  ];
  const seen = new Set<string>();
  for (const { retriever } of arms) {
    if (seen.has(retriever.name)) continue;
    seen.add(retriever.name);
    const entries = Object.entries(retriever.settings).map(([name, value]): [string, string] => [name, String(value)]);
    sections.push([`Search: ${retriever.name}`, entries]);
  }
  if (expansions.length > 0) {
    const found: Section[1] = [
      ['passages', String(expansions.length)],
      ['passages key', expansionsKey(expansions)],
    ];
    sections.push(['Expansions', [...provenance, ...found]]);
  }
  return sections;
}

function selfRule({ selfRetrieval }: Arm): [string, string] {
  return ['self-retrieval', describeSelfRetrieval(selfRetrieval)];
}

function topicsKey({ topics }: Arm): string {
  const judged = [...topics.qrels].map(([id, grades]) => [id, [...grades]]);
  return contentKey([topics.queries.map(({ id, text }) => [id, text]), judged]);
}

function expansionsKey(expansions: readonly Expansion[]): string {
  return contentKey(expansions.map(({ query, sample, text }) => [query, sample, text]));
}
