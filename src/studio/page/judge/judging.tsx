import { useEffect, useState } from 'preact/hooks';
import type { JudgeProgress, JudgeQuery, JudgeSession } from '../../shapes/judge.ts';
import { Button } from '../components/button.tsx';
import { Empty } from '../components/empty.tsx';
import { Notice } from '../components/notice.tsx';
import { Progress } from '../components/progress.tsx';
import { Text } from '../components/text.tsx';
import { place, setParams } from '../shell/place.ts';
import { useShortcuts } from '../shell/shortcuts.ts';
import { DocumentCard } from './document-card.tsx';
import { Figures } from './figures.tsx';
import { Finder } from './finder.tsx';
import { useJudging } from './use-judging.ts';

interface JudgingProps {
  session: JudgeSession;
  address: string;
  judge: string;
  reload: () => void;
}

/** The results of one query after another, judged by keyboard or pointer. */
export function Judging({ session, address, judge, reload }: JudgingProps) {
  const row = rowOf(session);
  const judging = useJudging({ session, address, judge, row });
  const { query, error, current, progress } = judging;
  const [isNoting, setNoting] = useState(false);
  const [isHidden, setHidden] = useState(true);
  const hiding = { isHidden, toggle: () => setHidden(!isHidden) };
  useEffect(() => {
    // The address names the query, so that it stays when others become ready.
    if (row !== undefined && place.value.params.get('q') === null) setParams({ q: row }, { replace: true });
  }, [row]);
  const ready = session.queries.filter(({ isReady }) => isReady).map((one) => one.row);
  const go = (to: number | undefined) => {
    if (to === undefined) return;
    setNoting(false);
    setParams({ q: to });
    reload();
  };
  const step = (by: number) => go(ready[ready.indexOf(row ?? -1) + by]);
  const judgeIt = (said: { grade: number } | { skip: true }) => {
    setNoting(false);
    if (judging.say(said)) go(nextOpen(session, row!));
  };
  const undo = async () => {
    const to = await judging.undo();
    if (to !== undefined && to !== row) go(to);
  };
  useShortcuts([
    ...[0, 1, 2, 3].map((grade) => ({ keys: `${grade}`, what: `grade ${grade}`, run: () => judgeIt({ grade }) })),
    { keys: 's', what: 'skip this document', run: () => judgeIt({ skip: true }) },
    { keys: 'u', what: 'undo the last judgement', run: () => void undo() },
    { keys: 'n', what: 'write a note', run: () => setNoting(true) },
    { keys: 'f', what: 'show or hide the figures', run: hiding.toggle },
    { keys: 'ArrowDown', what: 'next document', run: () => judging.move(1) },
    { keys: 'ArrowUp', what: 'document before', run: () => judging.move(-1) },
    { keys: 'ArrowRight', what: 'next query', run: () => step(1) },
    { keys: 'ArrowLeft', what: 'query before', run: () => step(-1) },
  ]);
  if (row === undefined) return <NothingYet session={session} />;
  return (
    <div class="judging">
      <section class="judge-main" aria-label="Results to judge">
        <Notice error={error} onRetry={judging.reload} />
        <Heading {...{ session, query, row, progress: judging.own, step }} />
        <ol class="judge-list">
          {query?.documents.map((document, at) => (
            <DocumentCard
              key={document.id}
              {...{ document, isCurrent: at === current, isNoting: isNoting && at === current }}
              onFocus={() => judging.goTo(at)}
              onGrade={(grade) => judging.say({ grade }, at)}
              onSkip={() => judging.say({ skip: true }, at)}
              onNote={(note) => {
                setNoting(false);
                if (note !== undefined) judging.say({ note }, at);
              }}
              onNoting={() => {
                judging.goTo(at);
                setNoting(true);
              }}
            />
          ))}
        </ol>
        {query !== undefined && <Finder {...{ address, judge, query }} onAdded={judging.reload} />}
      </section>
      <Aside {...{ session, address, judge, progress, version: judging.version, undo, hiding }} />
    </div>
  );
}

function Heading({
  session,
  query,
  row,
  progress,
  step,
}: {
  session: JudgeSession;
  query: JudgeQuery | undefined;
  row: number;
  progress: JudgeProgress;
  step: (by: number) => void;
}) {
  return (
    <div class="judge-query">
      <div class="judge-steps">
        <Button onClick={() => step(-1)} label="Query before">
          ←
        </Button>
        <span class="soft">
          query {row + 1} of {session.queries.length}, {progress.judged} of {progress.documents} judged
          {progress.skipped > 0 && `, ${progress.skipped} skipped`}
        </span>
        <Button onClick={() => step(1)} label="Next query">
          →
        </Button>
      </div>
      <h2 aria-live="polite">{query && <Text value={query.text} />}</h2>
    </div>
  );
}

function Aside({
  session,
  address,
  judge,
  progress,
  version,
  undo,
  hiding,
}: {
  session: JudgeSession;
  address: string;
  judge: string;
  progress: JudgeProgress;
  version: number;
  undo: () => Promise<void>;
  hiding: { isHidden: boolean; toggle: () => void };
}) {
  const left = session.queries.filter(({ isReady, judged, documents }) => isReady && judged < documents);
  return (
    <aside class="judge-aside" aria-label="Progress and figures">
      <div class="card">
        <Progress label="All documents" done={progress.judged} total={progress.documents} unit="judged" />
        <p class="soft">
          You are <Text value={judge} />.{' '}
          <button
            type="button"
            class="link"
            onClick={() => {
              localStorage.removeItem('judge');
              setParams({ judge: undefined });
            }}
          >
            Change
          </button>
        </p>
        <div class="actions">
          <Button onClick={() => void undo()}>Undo</Button>
          {left.length > 0 && (
            <Button onClick={() => setParams({ q: left[0]!.row })}>Next open query ({left.length})</Button>
          )}
        </div>
        <p class="hint judge-keys">
          <kbd>0</kbd>–<kbd>3</kbd> grade, <kbd>s</kbd> skip, <kbd>u</kbd> undo, <kbd>n</kbd> note, <kbd>f</kbd>{' '}
          figures, arrows move
        </p>
      </div>
      <Figures {...{ address, judge, version, hiding }} />
    </aside>
  );
}

function NothingYet({ session: { preparing } }: { session: JudgeSession }) {
  return (
    <Empty title="Nothing to judge yet">
      <p>{preparing ? 'The first results are being searched.' : 'No query was searched. Continue the search above.'}</p>
    </Empty>
  );
}

/** The query that the address names, or the first that is open. */
function rowOf({ queries }: JudgeSession): number | undefined {
  const asked = place.value.params.get('q');
  const named = asked === null ? undefined : queries[Number(asked)];
  if (named?.isReady) return named.row;
  const ready = queries.filter(({ isReady }) => isReady);
  return (ready.find(isOpen) ?? ready[0])?.row;
}

function isOpen({ documents, judged, skipped }: JudgeSession['queries'][number]): boolean {
  return judged + skipped < documents;
}

/** The next query with something left to judge, from here on and then from the beginning. */
function nextOpen({ queries }: JudgeSession, row: number): number | undefined {
  const others = [...queries.slice(row + 1), ...queries.slice(0, row)];
  return others.find((one) => one.isReady && isOpen(one))?.row;
}
