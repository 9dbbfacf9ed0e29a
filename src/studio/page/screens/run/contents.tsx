import type { CandidateRow, PairAudit, PairRow, TextRow } from '../../../shapes/runs.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Select } from '../../components/field.tsx';
import { Notice } from '../../components/notice.tsx';
import type { Column } from '../../components/table.tsx';
import { Text } from '../../components/text.tsx';
import { place, setParams } from '../../shell/place.ts';
import { FactList } from './overview.tsx';
import { PagedRows } from './rows.tsx';
import { runApi } from './words.tsx';

interface ContentsProps {
  name: string;
  /** Folder of the stage. */
  stage: string;
}

const CANDIDATES: readonly Column<CandidateRow>[] = [
  { key: 'query', label: 'Query', width: '30%', cell: ({ query, id }) => <Text value={query ?? id} /> },
  { key: 'text', label: 'Candidate', cell: ({ text }) => <Text value={text} /> },
  {
    ...{ key: 'total', label: 'Reward', align: 'end', width: '6rem' },
    cell: ({ reward }) => reward?.total.toFixed(3) ?? 'none',
    sort: ({ reward }) => reward?.total ?? Number.NEGATIVE_INFINITY,
  },
  {
    ...{ key: 'rank', label: 'Rank', align: 'end', width: '5rem', isExtra: true },
    cell: ({ reward }) => reward?.ranks.gold ?? '',
    sort: ({ reward }) => reward?.ranks.gold ?? Number.POSITIVE_INFINITY,
  },
  {
    ...{ key: 'temperature', label: 'Temperature', align: 'end', width: '8rem', isExtra: true },
    cell: ({ temperature }) => temperature,
    sort: ({ temperature }) => temperature,
  },
];

/** The texts that were sampled, with what they earned. */
export function Candidates({ name, stage }: ContentsProps) {
  return (
    <PagedRows
      label="Candidates"
      path={runApi(name, `/candidates?stage=${encodeURIComponent(stage)}`)}
      columns={CANDIDATES}
      keyOf={({ id }) => id}
      detail={(row) => <CandidateDetail row={row} />}
    />
  );
}

function CandidateDetail({
  row: { id, queryId, query, text, reward, temperature, finish, isDuplicate },
}: {
  row: CandidateRow;
}) {
  const ranks = Object.entries(reward?.ranks ?? {}).map(([name, rank]): [string, string] => [
    `rank by ${name}`,
    `${rank}`,
  ]);
  const rewards = Object.entries(reward?.rewards ?? {}).map(([name, value]): [string, string] => [
    name,
    value.toFixed(4),
  ]);
  return (
    <>
      {query !== undefined && (
        <p>
          <strong>
            <Text value={query} />
          </strong>
        </p>
      )}
      <p>
        <Text value={text} />
      </p>
      <FactList
        facts={[
          ...([
            ['candidate', id],
            ['query', queryId],
            ['temperature', `${temperature}`],
          ] as [string, string][]),
          ...(finish === undefined ? [] : [['ended by', finish] as [string, string]]),
          ...(isDuplicate ? [['same text', 'as an earlier candidate'] as [string, string]] : []),
          ...(reward === undefined ? [] : [['total reward', reward.total.toFixed(4)] as [string, string]]),
          ...rewards,
          ...ranks,
        ]}
      />
    </>
  );
}

const PAIRS: readonly Column<PairRow>[] = [
  { key: 'query', label: 'Query', width: '30%', cell: ({ query, queryId }) => <Text value={query ?? queryId} /> },
  { key: 'chosen', label: 'Chosen', cell: ({ chosen }) => <Text value={chosen} /> },
  { key: 'rejected', label: 'Rejected', cell: ({ rejected }) => <Text value={rejected} />, isExtra: true },
  {
    ...{ key: 'margin', label: 'Margin', align: 'end', width: '6rem' },
    cell: (pair) => marginOf(pair)?.toFixed(3) ?? '',
    sort: (pair) => marginOf(pair) ?? Number.NEGATIVE_INFINITY,
  },
];

function marginOf({ chosenReward, rejectedReward }: PairRow): number | undefined {
  return chosenReward === undefined || rejectedReward === undefined ? undefined : chosenReward - rejectedReward;
}

/** The pairs that a model was trained on, with what the audit found. */
export function Pairs({ name, stage, hasDev }: ContentsProps & { hasDev: boolean }) {
  const part = place.value.params.get('part') === 'dev' ? 'dev' : 'pairs';
  const { data, error } = useLoad(
    (signal) => get<PairAudit>(runApi(name, `/audit?stage=${encodeURIComponent(stage)}`), { signal }),
    [name, stage],
  );
  return (
    <>
      <Notice error={error} />
      {data && (
        <details class="more">
          <summary>Audit: what was checked before the training</summary>
          <FactList facts={data.facts} />
        </details>
      )}
      {hasDev && (
        <div class="finder">
          <Select
            label="Pairs for"
            value={part}
            options={[
              ['pairs', 'training'],
              ['dev', 'development'],
            ]}
            onChange={(chosen) => setParams({ part: chosen === 'dev' ? 'dev' : undefined, first: undefined })}
          />
        </div>
      )}
      <PagedRows
        label="Pairs"
        path={runApi(name, `/pairs?stage=${encodeURIComponent(stage)}&part=${part}`)}
        columns={PAIRS}
        keyOf={({ id }) => id}
        detail={(row) => <PairDetail row={row} />}
      />
    </>
  );
}

function PairDetail({ row: { prompt, chosen, rejected, chosenReward, rejectedReward } }: { row: PairRow }) {
  return (
    <>
      <div class="sides">
        <Side title="Chosen" note={chosenReward?.toFixed(4)} texts={[chosen]} />
        <Side title="Rejected" note={rejectedReward?.toFixed(4)} texts={[rejected]} />
      </div>
      <h3>Prompt</h3>
      <p>
        <Text value={prompt} />
      </p>
    </>
  );
}

function Side({ title, note, texts }: { title: string; note?: string | undefined; texts: readonly string[] }) {
  return (
    <section>
      <h3>
        <Text value={title} /> {note && <span class="soft">{note}</span>}
      </h3>
      {texts.map((text, at) => (
        <p key={at}>
          <Text value={text} />
        </p>
      ))}
    </section>
  );
}

const BEFORE = 'zeroShot';
const AFTER = 'aligned';
const first = (row: TextRow, arm: string) => row.texts[arm]?.[0] ?? '';
const change = ({ values }: TextRow) => (values[AFTER] ?? 0) - (values[BEFORE] ?? 0);

const TEXTS: readonly Column<TextRow>[] = [
  { key: 'query', label: 'Query', cell: ({ query }) => <Text value={query} />, sort: ({ query }) => query },
  { key: 'before', label: 'Before', cell: (row) => <Text value={first(row, BEFORE)} />, isExtra: true },
  { key: 'after', label: 'After', cell: (row) => <Text value={first(row, AFTER)} />, isExtra: true },
  {
    ...{ key: 'change', label: 'Change', align: 'end', width: '6.5rem' },
    cell: (row) => `${change(row) > 0 ? '+' : ''}${change(row).toFixed(3)}`,
    sort: change,
  },
];

/** What the LLM wrote for the test queries before and after alignment. */
export function Texts({ name, stage }: ContentsProps) {
  return (
    <PagedRows
      label="Texts before and after"
      path={runApi(name, `/texts?stage=${encodeURIComponent(stage)}`)}
      columns={TEXTS}
      keyOf={({ id }) => id}
      detail={(row) => <TextDetail row={row} />}
    />
  );
}

function TextDetail({ row: { query, texts, values } }: { row: TextRow }) {
  return (
    <>
      <p>
        <strong>
          <Text value={query} />
        </strong>
        {values.raw !== undefined && <span class="soft"> without expansion {values.raw.toFixed(4)}</span>}
      </p>
      <div class="sides">
        {Object.entries(texts).map(([arm, written]) => (
          <Side key={arm} title={arm} note={values[arm]?.toFixed(4)} texts={written} />
        ))}
      </div>
    </>
  );
}
