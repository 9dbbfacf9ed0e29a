import { useState } from 'preact/hooks';
import type { JudgeOverview, ListedSession } from '../../shapes/judge.ts';
import { useLoad } from '../client/load.ts';
import { get } from '../client/request.ts';
import { Button } from '../components/button.tsx';
import { Command, Empty } from '../components/empty.tsx';
import { Notice } from '../components/notice.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Text } from '../components/text.tsx';
import { NewSessionForm } from './new-session.tsx';
import { RETRIEVERS } from './words.ts';

const COLUMNS: readonly Column<ListedSession>[] = [
  {
    ...{ key: 'name', label: 'Session' },
    cell: ({ name }) => <a href={`/judge/${encodeURIComponent(name)}`}>{name}</a>,
    sort: ({ name }) => name,
  },
  { key: 'corpus', label: 'Corpus', cell: ({ corpus }) => <Text value={corpus} />, sort: ({ corpus }) => corpus },
  {
    ...{ key: 'searches', label: 'Searches', isExtra: true },
    cell: ({ retrievers }) => retrievers.map((one) => RETRIEVERS[one]).join(', '),
  },
  {
    ...{ key: 'queries', label: 'Queries', align: 'end', width: '6.5rem' },
    cell: ({ queries }) => queries,
    sort: ({ queries }) => queries,
  },
  {
    ...{ key: 'changed', label: 'Last change', align: 'end', width: '9rem', isExtra: true },
    cell: ({ changedAt }) => new Date(changedAt).toLocaleString('en-GB', { dateStyle: 'medium' }),
    sort: ({ changedAt }) => changedAt,
  },
];

/** The sessions there are, and a form for another. */
export function Start() {
  const { data, error, reload } = useLoad((signal) => get<JudgeOverview>('/api/judge', { signal }));
  const [isForm, setForm] = useState(false);
  const hasCorpus = (data?.corpora.length ?? 0) > 0;
  const hasSessions = (data?.sessions.length ?? 0) > 0;
  return (
    <>
      <div class="title">
        <h1>Judge</h1>
        {hasCorpus && hasSessions && !isForm && (
          <Button kind="primary" onClick={() => setForm(true)}>
            New session
          </Button>
        )}
      </div>
      <Notice error={error} onRetry={reload} />
      {data !== undefined && !hasCorpus && !hasSessions && (
        <Empty title="No results to judge">
          <p>Start the studio with the documents whose results you want to judge.</p>
          <Command>llm-qe studio --corpus docs.jsonl</Command>
        </Empty>
      )}
      {hasCorpus && (isForm || !hasSessions) && <NewSessionForm corpora={data!.corpora} sessions={data!.sessions} />}
      {hasSessions && (
        <Table label="Judging sessions" columns={COLUMNS} rows={data!.sessions} keyOf={({ name }) => name} />
      )}
    </>
  );
}
