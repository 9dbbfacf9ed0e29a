import { useId, useState } from 'preact/hooks';
import type { TryFacts } from '../../shapes/try.ts';
import { Button } from '../components/button.tsx';
import { Select } from '../components/field.tsx';
import { Notice } from '../components/notice.tsx';
import { Text } from '../components/text.tsx';
import { setParams } from '../shell/place.ts';
import type { ArmWriting } from './arm.ts';
import type { ArmState } from './state.ts';
import { grouped } from './words.ts';

interface ArmProps {
  arm: ArmState;
  facts: TryFacts;
  writing: ArmWriting;
}

/** What an arm writes: its texts as they grow, and how far they are. */
export function ArmTexts({ arm, facts, writing }: ArmProps) {
  const { state, texts, error, stop, retry } = writing;
  return (
    <div class="try-arm">
      <ArmSettings key={`${arm.promptName} ${arm.prompt}`} arm={arm} facts={facts} />
      <Notice error={error} onRetry={retry} />
      {state !== 'none' && (
        <div class="card written">
          <div class="head">
            <span role="status">{statusOf(writing)}</span>
            {state === 'writing' && <Button onClick={stop}>Stop</Button>}
            {state === 'stopped' && <Button onClick={retry}>Write again</Button>}
          </div>
          <ol>
            {texts.map((text, at) => (
              <li key={at}>
                <Expansion text={text} isGrowing={state === 'writing'} />
              </li>
            ))}
          </ol>
        </div>
      )}
    </div>
  );
}

function statusOf({ state, texts, facts }: ArmWriting): string {
  if (state === 'writing') return texts.some((text) => text !== '') ? 'Writing…' : 'Waiting for the first word…';
  if (state === 'stopped') return 'Stopped: ranked with what is written.';
  if (state === 'failed') return 'Not written.';
  if (texts.every((text) => text.trim() === '')) return 'The writer wrote nothing: this is the raw ranking.';
  if (facts === undefined || facts.tokens === 0) return 'Written before, and kept.';
  return `${grouped(facts.tokens)} tokens in ${(facts.milliseconds / 1000).toFixed(1)} s.`;
}

/** The whole text while it grows; later its beginning, and the rest on request. */
function Expansion({ text, isGrowing }: { text: string; isGrowing: boolean }) {
  const [isWhole, setWhole] = useState(false);
  if (text.trim() === '') return <span class="soft">{isGrowing ? '…' : '(nothing)'}</span>;
  const isLong = text.length > 260;
  return (
    <>
      <Text value={text} lines={isLong && !isWhole && !isGrowing ? 4 : undefined} />
      {isLong && !isGrowing && (
        <button type="button" class="link" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
          {isWhole ? 'Less' : 'All of it'}
        </button>
      )}
    </>
  );
}

const TYPED = ' typed';

/** Writer and prompt of an arm. A prompt takes effect when it is sent, not with each letter. */
function ArmSettings({ arm, facts }: Pick<ArmProps, 'arm' | 'facts'>) {
  const { key, writer, promptName, prompt } = arm;
  const [draft, setDraft] = useState(prompt);
  const id = useId();
  const { writers, prompts, longestPrompt } = facts;
  const fault = promptFault(draft, longestPrompt);
  const use = (event: Event) => {
    event.preventDefault();
    if (fault === undefined) setParams({ [`prompt-${key}`]: draft, [`task-${key}`]: undefined });
  };
  const choosePrompt = (name: string) => {
    if (name !== TYPED) setParams({ [`task-${key}`]: name, [`prompt-${key}`]: undefined });
  };
  return (
    <details class="setup">
      <summary>
        Writer <strong>{writer}</strong>, prompt <strong>{promptName ?? 'typed here'}</strong>
      </summary>
      <form onSubmit={use}>
        {writers.length > 1 && (
          <Select
            label="Writer"
            value={writer}
            options={writers.map(({ name }) => [name, name] as const)}
            onChange={(name) => setParams({ [`writer-${key}`]: name })}
          />
        )}
        <Select
          label="Published prompt"
          value={promptName ?? TYPED}
          options={[
            ...prompts.map(({ name }) => [name, name] as const),
            ...(promptName === undefined ? [[TYPED, 'typed here'] as const] : []),
          ]}
          onChange={choosePrompt}
        />
        <div class="field">
          <label for={id}>Prompt</label>
          <textarea
            {...{ id, value: draft, rows: 4 }}
            aria-describedby={`${id}-note`}
            aria-invalid={fault !== undefined}
            onInput={(event) => setDraft(event.currentTarget.value)}
          />
          <p id={`${id}-note`} class={fault === undefined ? 'hint' : 'wrong'}>
            {fault ?? '{query} stands for the query.'}
          </p>
        </div>
        <Button type="submit" disabled={draft === prompt || fault !== undefined}>
          Use this prompt
        </Button>
      </form>
    </details>
  );
}

function promptFault(prompt: string, longest: number): string | undefined {
  if (!prompt.includes('{query}')) return 'The prompt lacks {query}: put it where the query belongs.';
  if (prompt.length <= longest) return undefined;
  return `A prompt has at most ${grouped(longest)} characters; this one has ${grouped(prompt.length)}.`;
}
