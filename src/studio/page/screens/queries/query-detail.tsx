import { useEffect, useRef } from 'preact/hooks';
import type { QueryArm, QueryComparison, QueryHit, QueryView } from '../../../shapes/queries.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Button } from '../../components/button.tsx';
import { Notice } from '../../components/notice.tsx';
import { Text } from '../../components/text.tsx';
import { setParams } from '../../shell/place.ts';
import { useShortcuts } from '../../shell/shortcuts.ts';
import { count, score, signed } from './numbers.ts';
import type { Row } from './rows.ts';

interface QueryDetailProps {
  query: string;
  /** The list that it was chosen from. */
  rows: readonly Row[];
  comparison: QueryComparison;
  /** Parameters of the comparison. */
  address: string;
}

/** One query in all arms, and the way to the next. */
export function QueryDetail({ query, rows, comparison, address }: QueryDetailProps) {
  const path = `/api/queries/query?${address}&id=${encodeURIComponent(query)}`;
  const { data, error, reload } = useLoad((signal) => get<QueryView>(path, { signal }), [path]);
  const at = rows.findIndex(({ id }) => id === query);
  const go = (step: number) => {
    const next = rows[at + step];
    if (next !== undefined) setParams({ query: next.id }, { replace: true });
  };
  const back = () => setParams({ query: undefined });
  useShortcuts([
    { keys: 'j', what: 'next query', run: () => go(1) },
    { keys: 'k', what: 'previous query', run: () => go(-1) },
    { keys: 'u', what: 'back to all queries', run: back },
  ]);
  const heading = useRef<HTMLHeadingElement>(null);
  const shown = data?.id === query ? data : undefined;
  useEffect(() => {
    if (shown !== undefined) heading.current?.focus();
  }, [shown?.id]);
  return (
    <article class="part">
      <div class="actions">
        <Button onClick={back}>All queries</Button>
        <Button disabled={at <= 0} onClick={() => go(-1)}>
          Previous
        </Button>
        <Button disabled={at < 0 || at >= rows.length - 1} onClick={() => go(1)}>
          Next
        </Button>
        {at >= 0 && (
          <span class="soft">
            {count(at + 1)} of {count(rows.length)}
          </span>
        )}
      </div>
      <Notice error={error} onRetry={reload} />
      {shown !== undefined && (
        <>
          <h2 ref={heading} tabIndex={-1} class="query">
            <Text value={shown.text || shown.id} />
          </h2>
          <Facts view={shown} comparison={comparison} />
          <div class="arms">
            {shown.arms.map((arm) => (
              <Arm key={arm.name} arm={arm} view={shown} comparison={comparison} />
            ))}
          </div>
          <Relevant view={shown} />
        </>
      )}
    </article>
  );
}

function Facts({ view, comparison: { measure, a, b } }: { view: QueryView; comparison: QueryComparison }) {
  const measured = (name: string) => view.arms.find((arm) => arm.name === name)?.value ?? null;
  const [before, after] = [measured(a), measured(b)];
  return (
    <p>
      <span class="soft">
        Query <Text value={view.id} />.
      </span>{' '}
      {before !== null && after !== null && view.isJudged && (
        <>
          {measure} {score(before)} to {score(after)},{' '}
          <strong class={after > before ? 'gain' : after < before ? 'loss' : ''}>{signed(after - before)}</strong>.
        </>
      )}
      {!view.isJudged && 'It was not judged.'}
    </p>
  );
}

interface ArmProps {
  arm: QueryArm;
  view: QueryView;
  comparison: QueryComparison;
}

function Arm({ arm, view, comparison: { a, b, measure } }: ArmProps) {
  const other = arm.name === a ? b : a;
  const letter = arm.name === a ? 'A: ' : arm.name === b ? 'B: ' : '';
  return (
    <section class="arm" aria-label={`${letter}${arm.name}`}>
      <h3>
        {letter}
        <Text value={arm.name} />
        {arm.value !== null && view.isJudged && (
          <small class="soft">
            {' '}
            {measure} {score(arm.value)}
          </small>
        )}
      </h3>
      {arm.expansions.map((text, at) => (
        <blockquote key={`${at} ${text.slice(0, 20)}`}>
          <Text value={text} lines={6} />
        </blockquote>
      ))}
      {!arm.hasRun && <p class="soft">Its run was not kept.</p>}
      {arm.hasRun && arm.hits.length === 0 && <p class="soft">It found nothing.</p>}
      <ol class="hits">
        {arm.hits.map((hit, at) => (
          <Hit key={hit.id} {...{ hit, rank: at + 1, other, view, isBaseline: arm.name === a }} />
        ))}
      </ol>
    </section>
  );
}

interface HitProps extends Omit<MoveProps, 'otherRank'> {
  hit: QueryHit;
  view: QueryView;
}

function Hit({ hit, rank, other, view, isBaseline }: HitProps) {
  const document = view.documents[hit.id];
  const isRelevant = hit.grade !== null && hit.grade > 0;
  return (
    <li class={isRelevant ? 'card relevant' : 'card'}>
      <div class="hit-facts">
        <strong>{rank}</strong>
        <Move {...{ rank, otherRank: hit.otherRank, other, isBaseline }} />
        {view.isJudged && <Grade grade={hit.grade} />}
        <span class="soft">{hit.score.toPrecision(5)}</span>
      </div>
      {document?.title && (
        <strong class="clipped">
          <Text value={document.title} />
        </strong>
      )}
      {document !== undefined && <Text value={document.text} lines={3} />}
      <small class="soft">
        <Text value={hit.id} />
      </small>
    </li>
  );
}

interface MoveProps {
  rank: number;
  otherRank: number | null;
  other: string;
  isBaseline: boolean;
}

/** How the document moves from the baseline to the other arm: the same word in both lists. */
function Move({ rank, otherRank, other, isBaseline }: MoveProps) {
  if (otherRank === null) {
    return (
      <span class={isBaseline ? 'tag loss' : 'tag gain'} title={`not found by ${other}`}>
        {isBaseline ? 'lost' : 'new'}
      </span>
    );
  }
  const up = isBaseline ? rank - otherRank : otherRank - rank;
  const words = up > 0 ? `up ${count(up)}` : `down ${count(-up)}`;
  return (
    <span class={up > 0 ? 'tag gain' : up < 0 ? 'tag loss' : 'tag'} title={`rank ${otherRank} in ${other}`}>
      {up === 0 ? 'same rank' : `${words}, ${isBaseline ? 'to' : 'from'} ${count(otherRank)}`}
    </span>
  );
}

function Grade({ grade }: { grade: number | null }) {
  if (grade === null) return <span class="tag soft">not judged</span>;
  return <span class={grade > 0 ? 'tag good' : 'tag'}>{grade > 0 ? `relevant, ${grade}` : 'not relevant'}</span>;
}

/** Relevant documents, with their ranks in all arms: also those that no arm shows. */
function Relevant({ view }: { view: QueryView }) {
  if (view.relevant.length === 0) return null;
  return (
    <section class="part" aria-labelledby="relevant-heading">
      <h3 id="relevant-heading">Relevant documents</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard (WCAG 2.1.1) */}
      <section class="scrolled" aria-label="Ranks of the relevant documents" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Document</th>
              <th scope="col" class="end">
                Grade
              </th>
              {view.arms.map(({ name }) => (
                <th key={name} scope="col" class="end">
                  <Text value={name} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {view.relevant.map(({ id, grade, ranks }) => (
              <tr key={id}>
                <td>
                  <Text value={view.documents[id] ? named(view.documents[id]) : id} lines={2} />
                </td>
                <td class="end">{grade}</td>
                {ranks.map((rank, at) => (
                  <td key={view.arms[at]!.name} class="end">
                    {rank ?? 'none'}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {view.moreRelevant > 0 && <p class="soft">and {count(view.moreRelevant)} more</p>}
    </section>
  );
}

function named({ title, text }: { title: string; text: string }): string {
  return title === '' ? text : `${title}. ${text}`;
}
