import { useState } from 'preact/hooks';
import type { Resumable, RunLog, RunProcess } from '../../../shapes/recipes.ts';
import type { RunPage } from '../../../shapes/runs.ts';
import { useLoad } from '../../client/load.ts';
import { get, send } from '../../client/request.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Command } from '../../components/empty.tsx';
import { Notice } from '../../components/notice.tsx';
import { Text, visible } from '../../components/text.tsx';
import { areAllGiven, Consents } from '../recipe/consents.tsx';
import { runApi } from './words.tsx';

/** The process of a run: what it does, how it ended, its log, and the buttons that stop and resume it. */
export function Process({ run, log }: { run: RunPage; log: RunLog | undefined }) {
  const { name, process } = run;
  const [error, setError] = useState<unknown>();
  const words = process && wordsOf(process, run);
  if (process === undefined || (words === '' && !process.canResume)) return null;
  const stop = () => send('POST', runApi(name, '/stop'), {}).then(() => setError(undefined), setError);
  const isOver = process.state === 'ended';
  return (
    <section class="card process" aria-label="Process">
      <div class="bar">
        <p class="one-line" role="status">
          <Text value={words ?? ''} />
        </p>
        <div class="actions">
          {process.canStop && (
            <Button onClick={() => void stop()}>{process.state === 'stopping' ? 'Stop at once' : 'Stop'}</Button>
          )}
          {isOver && process.canResume && process.end?.kind !== 'finished' && <Resume name={name} onError={setError} />}
        </div>
      </div>
      <Notice error={error} />
      {(process.canResume || log?.text) && <Log name={name} log={log} />}
    </section>
  );
}

function wordsOf({ state, pid, end, resumesAt, whyNot }: RunProcess, run: RunPage): string {
  const why = whyNot === undefined ? '' : ` ${whyNot}`;
  const there = resumesAt === undefined ? '' : `resumes at ${resumesAt}`;
  if (state === 'starting') return `Starting as process ${pid}: data and models are opened.${why}`;
  if (state === 'waiting') return `Process ${pid} waits for another process that works in the same folder.${why}`;
  if (state === 'stopping') return `Stopping: process ${pid} ends the step in progress and stores it.`;
  if (state === 'running') return `Running as process ${pid}.${why}`;
  if (end?.kind === 'failed') return `Failed: ${end.message} It ${there}.`;
  if (end?.kind === 'killed') return `Cut off. ${end.message} It ${there}.`;
  if (end?.kind === 'stopped') return `Stopped: ${there}.`;
  return end === undefined && run.state === 'stopped' && run.stages.length > 0
    ? `Stopped: the command that started it ${there}.`
    : '';
}

/** Starts the same again; what needs consent is asked for again, since the folder may be somebody else's. */
function Resume({ name, onError }: { name: string; onError: (error: unknown) => void }) {
  const [asked, setAsked] = useState<Resumable>();
  const [given, setGiven] = useState<string[]>([]);
  const [isBusy, setBusy] = useState(false);
  const resume = async ({ id }: Resumable, confirmed: readonly string[]) => {
    await send('POST', runApi(name, '/resume'), { id, confirmed });
    onError(undefined);
  };
  const attempt = async (work: () => Promise<void>) => {
    setBusy(true);
    await work().catch(onError);
    setBusy(false);
  };
  const begin = () =>
    attempt(async () => {
      const found = await get<Resumable>(runApi(name, '/resume'));
      setGiven([]);
      if (found.consents.length === 0) await resume(found, []);
      else setAsked(found);
    });
  const confirm = (found: Resumable) =>
    attempt(async () => {
      setAsked(undefined);
      await resume(found, given);
    });
  return (
    <>
      <Button kind="primary" disabled={isBusy} onClick={() => void begin()}>
        Resume
      </Button>
      <Dialog title="Resume the run" open={asked !== undefined} onClose={() => setAsked(undefined)}>
        {asked && (
          <>
            <Command>{visible(asked.command)}</Command>
            <Consents consents={asked.consents} given={given} onChange={setGiven} />
            <div class="actions">
              <Button
                kind="primary"
                disabled={isBusy || !areAllGiven(asked.consents, given)}
                onClick={() => void confirm(asked)}
              >
                Confirm and resume
              </Button>
            </div>
          </>
        )}
      </Dialog>
    </>
  );
}

/** The end of what the process wrote; that of a run that is not followed is loaded when it is opened. */
function Log({ name, log }: { name: string; log: RunLog | undefined }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="more" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Log</summary>
      {log !== undefined && <Lines log={log} />}
      {log === undefined && isOpen && <LoadedLog name={name} />}
    </details>
  );
}

function LoadedLog({ name }: { name: string }) {
  const { data, error, reload } = useLoad((signal) => get<RunLog>(runApi(name, '/log'), { signal }));
  return (
    <>
      <Notice error={error} onRetry={reload} />
      {data && <Lines log={data} />}
    </>
  );
}

function Lines({ log: { text, isCut } }: { log: RunLog }) {
  return (
    <>
      {isCut && <p class="soft">The end of the log. All of it is in studio/log.txt in the folder of the run.</p>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard (WCAG 2.1.1) */}
      <section class="log" aria-label="Log" tabIndex={0}>
        <pre>{visible(text)}</pre>
      </section>
    </>
  );
}
