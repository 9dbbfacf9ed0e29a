import type { JudgeAgreement, JudgePair } from '../../shapes/judge.ts';
import { useLoad } from '../client/load.ts';
import { get } from '../client/request.ts';
import { Empty } from '../components/empty.tsx';
import { Notice } from '../components/notice.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Text } from '../components/text.tsx';
import { setParams } from '../shell/place.ts';
import { percent } from './words.ts';

/** How far every two judges agree, and where they do not. */
export function Agreement({ address }: { address: string }) {
  const { data, error, reload } = useLoad(
    (signal) => get<JudgeAgreement>(`${address}/agreement`, { signal }),
    [address],
  );
  return (
    <>
      <Notice error={error} onRetry={reload} />
      {data?.pairs.length === 0 && (
        <Empty title="No second judge yet">
          <p>When another person judges the same results under a name of their own, their agreement is shown here.</p>
        </Empty>
      )}
      {data?.pairs.map((pair) => (
        <Pair key={pair.judges.join('\n')} pair={pair} />
      ))}
    </>
  );
}

function Pair({ pair }: { pair: JudgePair }) {
  const { judges, items, equal, kappa, weighted, disagreements } = pair;
  const [first, second] = judges;
  return (
    <section class="card judge-pair">
      <h2>
        <Text value={first} /> and <Text value={second} />
      </h2>
      {items === 0 ? (
        <p>They graded no document in common.</p>
      ) : (
        <p>
          Of {items} documents that both graded, {percent(equal)} have equal grades. Cohen's kappa is{' '}
          <strong>{shown(kappa)}</strong>, with linear weights <strong>{shown(weighted)}</strong>
          {kappa !== undefined && ` (${inWords(kappa)})`}.
        </p>
      )}
      {disagreements.length > 0 && (
        <Table
          label={`Disagreements of ${first} and ${second}`}
          columns={columnsOf(pair)}
          rows={disagreements}
          keyOf={({ row, document }) => `${row} ${document}`}
          onOpen={({ row }) => setParams({ view: undefined, q: row })}
        />
      )}
    </section>
  );
}

function columnsOf({ judges }: JudgePair): readonly Column<JudgePair['disagreements'][number]>[] {
  return [
    { key: 'query', label: 'Query', cell: ({ query }) => <Text value={query} />, sort: ({ query }) => query },
    { key: 'document', label: 'Document', cell: ({ document }) => <Text value={document} />, isExtra: true },
    ...judges.map((label, at) => ({
      ...{ key: `${at}`, label, align: 'end' as const, width: '6rem' },
      cell: ({ grades }: JudgePair['disagreements'][number]) => grades[at],
      sort: ({ grades }: JudgePair['disagreements'][number]) => grades[at]!,
    })),
  ];
}

function shown(kappa: number | undefined): string {
  return kappa === undefined ? 'undefined (one grade throughout)' : kappa.toFixed(2);
}

/** The words of Landis and Koch (1977), which are custom and no law. */
function inWords(kappa: number): string {
  if (kappa <= 0) return 'no better than chance';
  const steps: readonly [number, string][] = [
    [0.2, 'slight'],
    [0.4, 'fair'],
    [0.6, 'moderate'],
    [0.8, 'substantial'],
  ];
  return `${steps.find(([most]) => kappa <= most)?.[1] ?? 'almost perfect'} agreement beyond chance`;
}
