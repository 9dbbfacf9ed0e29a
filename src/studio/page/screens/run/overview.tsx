import { useRef } from 'preact/hooks';
import type { Facts, RunPage, RunStage, StageProgress } from '../../../shapes/runs.ts';
import { Progress } from '../../components/progress.tsx';
import { Text } from '../../components/text.tsx';
import { bytes, duration } from './words.tsx';

/** Each stage with its state and time, the settings of all, and what is wrong. */
export function Overview({ run }: { run: RunPage }) {
  const { stages, faults, manifest, state } = run;
  return (
    <>
      {faults.map((fault) => (
        <p key={fault} class="wrong">
          <Text value={fault} />
        </p>
      ))}
      <section>
        <h2>Stages</h2>
        {stages.length === 0 && <p>{withoutStages(state)}</p>}
        <ol class="stages">
          {stages.map((stage) => (
            <Stage key={stage.folder} stage={stage} isRunning={state === 'running'} />
          ))}
        </ol>
      </section>
      {manifest && (
        <section>
          <h2>Settings</h2>
          <p class="soft">
            As the last complete run of <code>llm-qe {manifest.command}</code> recorded them, version {manifest.version}
            .
          </p>
          <FactList facts={manifest.settings} />
        </section>
      )}
    </>
  );
}

function withoutStages(state: RunPage['state']): string {
  if (state === 'finished') return 'This run has no stages: it is a trial or a demo.';
  if (state === 'running') return 'No stage has begun. Data and models are being opened, or this is a trial or a demo.';
  return 'This run ended before it had a stage or a report. The same command resumes it.';
}

function Stage({ stage, isRunning }: { stage: RunStage; isRunning: boolean }) {
  const { name, finished, seconds, progress, outputs, settings, result, folder } = stage;
  const state = finished ? 'finished' : isRunning ? 'running' : 'stopped';
  return (
    <li>
      <details>
        <summary>
          <span class="state" data-state={state}>
            <Text value={name} />
          </span>
          <span class="soft">{finished || !isRunning ? `${state}, ${duration(seconds)}` : 'running'}</span>
        </summary>
        <p class="soft">
          <Text value={folder} />, made by version <Text value={stage.version} />
        </p>
        {outputs.length > 0 && (
          <>
            <h3>Files</h3>
            <FactList facts={outputs.map(({ file, bytes: size }) => [file, bytes(size)])} />
          </>
        )}
        {result.length > 0 && (
          <>
            <h3>Results</h3>
            <FactList facts={result} />
          </>
        )}
        <h3>Settings and inputs</h3>
        <FactList facts={settings} />
      </details>
      {progress.map((one) => (
        <Growing key={one.file} progress={one} isRunning={isRunning} />
      ))}
    </li>
  );
}

/** How far a growing file is; its rate is that since the page was opened. */
function Growing({ progress, isRunning }: { progress: StageProgress; isRunning: boolean }) {
  const { file, unit, done, total, changedAt } = progress;
  const first = useRef(progress);
  const seconds = (changedAt - first.current.changedAt) / 1000;
  const rate = seconds > 0 ? (done - first.current.done) / seconds : 0;
  if (!isRunning && total === undefined) {
    return (
      <p class="soft">
        <Text value={file} />: {done.toLocaleString('en')} {unit}, kept for the next start
      </p>
    );
  }
  return <Progress label={file} {...{ done, total, unit }} note={isRunning ? noteOf(rate, done, total) : 'stopped'} />;
}

function noteOf(rate: number, done: number, total: number | undefined): string {
  if (rate <= 0) return '';
  const speed = rate >= 1 ? `${rate.toFixed(1)} per second` : `${(rate * 60).toFixed(1)} per minute`;
  return total === undefined || total <= done ? speed : `${speed}, ${duration((total - done) / rate)} left`;
}

/** Names and values, whose texts may be anybody's. */
export function FactList({ facts }: { facts: Facts }) {
  return (
    <dl class="facts-list">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>
            <Text value={name} />
          </dt>
          <dd>
            <Text value={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}
