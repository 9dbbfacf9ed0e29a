import { type ComponentChildren, Fragment } from 'preact';
import { useState } from 'preact/hooks';
import type { EvaluationList } from '../../../shapes/queries.ts';
import type { RunLog } from '../../../shapes/recipes.ts';
import type { RunPage, RunStage } from '../../../shapes/runs.ts';
import { useEvents } from '../../client/events.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Select } from '../../components/field.tsx';
import { Notice } from '../../components/notice.tsx';
import { Text, visible } from '../../components/text.tsx';
import { place, setParams } from '../../shell/place.ts';
import { Candidates, Pairs, Texts } from './contents.tsx';
import { Overview } from './overview.tsx';
import { Process } from './process.tsx';
import { Scores } from './scores.tsx';
import { Training } from './training.tsx';
import { runAddress, runApi, State } from './words.tsx';

/** A run: its stages as they go, and what they made. */
export function Run({ name }: { name: string }) {
  const { data, error, reload } = useLoad((signal) => get<RunPage>(runApi(name), { signal }));
  const [latest, setLatest] = useState<RunPage>();
  const run = latest ?? data;
  // A finished run stays as it is; a stopped one may be resumed by another process.
  const isFollowed = run !== undefined && run.state !== 'finished';
  const [log, setLog] = useState<RunLog>();
  useEvents(isFollowed ? runApi(name, '/live') : undefined, {
    run: (page: RunPage) => setLatest(page),
    log: (end: RunLog) => setLog(end),
  });
  return (
    <>
      <p class="back">
        <a href="/runs">All runs</a>
      </p>
      <div class="title">
        <h1>
          <Text value={name} />
        </h1>
        {run && (
          <p class="run-facts">
            <State run={run} />
            {(run.hasReport || run.stages.some(has('evaluation'))) && <HelpedAndHurt run={run.name} />}
            {run.hasReport && (
              <a href={runApi(name, '/report')} target="_blank" rel="noreferrer">
                Report
              </a>
            )}
          </p>
        )}
      </div>
      <Notice error={error} onRetry={reload} />
      {run && <Process run={run} log={log} />}
      {run && <Parts run={run} />}
    </>
  );
}

/** The way to the queries of a run's last evaluation, if the screen of queries can read it. */
function HelpedAndHurt({ run }: { run: string }) {
  const { data } = useLoad((signal) => get<EvaluationList>('/api/queries', { signal }), [run]);
  const evaluation = data?.evaluations.find(({ id }) => id === run || id.startsWith(`${run}/`));
  if (evaluation === undefined) return null;
  return <a href={`/queries?${new URLSearchParams({ evaluation: evaluation.id })}`}>Queries helped and hurt</a>;
}

interface Part {
  id: string;
  label: string;
  /** Folders of the stages that have it, the last begun at the end. */
  stages: RunStage[];
  show: (run: RunPage, stage: RunStage) => ComponentChildren;
}

const has = (output: string) => (stage: RunStage) => stage.outputs.some(({ name }) => name === output);

/** What there is of a run, beside its stages. */
function partsOf({ stages }: RunPage): Part[] {
  const parts: Part[] = [
    {
      ...{ id: 'training', label: 'Training', stages: stages.filter(({ hasCurves }) => hasCurves) },
      show: ({ name }, { folder, progress }) => (
        <Training name={name} stage={folder} seen={progress.reduce((sum, { done }) => sum + done, 0)} />
      ),
    },
    {
      ...{ id: 'candidates', label: 'Candidates', stages: stages.filter(has('candidates')) },
      show: ({ name }, { folder }) => <Candidates name={name} stage={folder} />,
    },
    {
      ...{ id: 'pairs', label: 'Pairs', stages: stages.filter(has('pairs')) },
      show: ({ name }, stage) => <Pairs name={name} stage={stage.folder} hasDev={has('dev')(stage)} />,
    },
    {
      ...{ id: 'texts', label: 'Texts', stages: stages.filter(has('evaluation')) },
      show: ({ name }, { folder }) => <Texts name={name} stage={folder} />,
    },
    {
      ...{ id: 'scores', label: 'Scores', stages: stages.filter(has('evaluation')) },
      show: ({ name }, { folder }) => <Scores name={name} stage={folder} />,
    },
  ];
  return parts.filter((part) => part.stages.length > 0);
}

function Parts({ run }: { run: RunPage }) {
  const { params } = place.value;
  const parts = partsOf(run);
  const part = parts.find(({ id }) => id === params.get('show'));
  const address = runAddress(run.name);
  const isScores = run.hasScores && params.get('show') === 'scores';
  const stage = part?.stages.find(({ folder }) => folder === params.get('stage')) ?? part?.stages.at(-1);
  return (
    <>
      <nav class="parts" aria-label="Parts of the run">
        <a href={address} aria-current={part === undefined && !isScores ? 'page' : undefined}>
          {run.hasScores ? 'Run' : 'Stages'}
        </a>
        {run.hasScores && (
          <a href={`${address}?show=scores`} aria-current={isScores ? 'page' : undefined}>
            Scores
          </a>
        )}
        {parts.map(({ id, label }) => (
          <a key={id} href={`${address}?show=${id}`} aria-current={id === part?.id ? 'page' : undefined}>
            {label}
          </a>
        ))}
      </nav>
      {part !== undefined && part.stages.length > 1 && (
        <Select
          label="Of the stage"
          value={stage!.folder}
          options={part.stages.map(({ folder }) => [folder, visible(folder)])}
          onChange={(folder) => setParams({ stage: folder, first: undefined })}
        />
      )}
      {isScores ? (
        <Scores name={run.name} />
      ) : part === undefined ? (
        <Overview run={run} />
      ) : (
        <Fragment key={`${part.id} ${stage!.folder}`}>{part.show(run, stage!)}</Fragment>
      )}
    </>
  );
}
