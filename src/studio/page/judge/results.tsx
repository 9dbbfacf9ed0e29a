import { useState } from 'preact/hooks';
import type { JudgeSession, ListedQuery } from '../../shapes/judge.ts';
import { Select } from '../components/field.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Text } from '../components/text.tsx';
import { setParams } from '../shell/place.ts';
import { Figures } from './figures.tsx';

const COLUMNS: readonly Column<ListedQuery>[] = [
  { key: 'query', label: 'Query', cell: ({ text }) => <Text value={text} />, sort: ({ text }) => text },
  {
    ...{ key: 'judged', label: 'Judged', align: 'end', width: '8rem' },
    cell: ({ judged, documents, isReady }) => (isReady ? `${judged} of ${documents}` : 'not searched'),
    sort: ({ judged }) => judged,
  },
];

/** What the judgements show, and what can be taken away. */
export function Results({ session, address }: { session: JudgeSession; address: string }) {
  const [judge, setJudge] = useState('');
  const asked = judge === '' ? '' : `?judge=${encodeURIComponent(judge)}`;
  return (
    <div class="judge-results">
      <Select
        label="Judgements of"
        value={judge}
        options={[['', 'all judges (the mean, where they differ)'], ...session.judges.map(judgeOption)]}
        onChange={setJudge}
      />
      <Figures {...{ address, judge: judge || undefined, version: session.version }} />
      <section class="card">
        <h2>The rule</h2>
        <p>
          Expansion is recommended if the interval of the change lies above 0, the randomisation test agrees, and fewer
          than a third of the queries are hurt. Below 20 queries nothing is decided; below 50 only a very clear
          difference counts.
        </p>
        <h2>Downloads</h2>
        <ul class="judge-downloads">
          <li>
            <a href={`${address}/download/qrels.trec${asked}`} download>
              Judgements for trec_eval
            </a>
          </li>
          <li>
            <a href={`${address}/download/qrels.tsv${asked}`} download>
              Judgements in BEIR's layout
            </a>
          </li>
          <li>
            <a href={`${address}/download/notes.csv${asked}`} download>
              Notes as CSV
            </a>
          </li>
        </ul>
      </section>
      <Table
        label="Queries"
        columns={COLUMNS}
        rows={session.queries}
        keyOf={({ row }) => `${row}`}
        onOpen={({ row }) => setParams({ view: undefined, q: row })}
      />
    </div>
  );
}

function judgeOption({ name, judged }: JudgeSession['judges'][number]): readonly [string, string] {
  return [name, `${name} (${judged})`];
}
