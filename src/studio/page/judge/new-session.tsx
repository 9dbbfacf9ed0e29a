import { useId, useState } from 'preact/hooks';
import type { JudgeOverview, JudgeSession, NewSession, RetrieverName } from '../../shapes/judge.ts';
import { send } from '../client/request.ts';
import { Button } from '../components/button.tsx';
import { Field, Select } from '../components/field.tsx';
import { Notice } from '../components/notice.tsx';
import { goTo } from '../shell/place.ts';
import { RETRIEVERS } from './words.ts';

type Values = Omit<NewSession, 'queries'> & { from: 'corpus' | 'text'; most: number; text: string };

/** What to judge: a corpus, queries, and the searches whose results are pooled. */
export function NewSessionForm({ corpora, sessions }: Pick<JudgeOverview, 'corpora' | 'sessions'>) {
  const [values, setValues] = useState<Values>(() => standard(corpora, sessions));
  const [error, setError] = useState<unknown>();
  const [isSending, setSending] = useState(false);
  const change = (part: Partial<Values>) => setValues((known) => ({ ...known, ...part }));
  const { hasQueries } = corpora.find(({ name }) => name === values.corpus)!;
  const from = hasQueries ? values.from : 'text';
  const begin = async () => {
    setSending(true);
    try {
      const { from: _, most, text, ...settings } = values;
      const queries = from === 'corpus' ? { from, most } : { from, text };
      const { name } = await send<JudgeSession>('POST', '/api/judge/sessions', {
        ...settings,
        name: folderName(settings.name),
        queries,
      });
      goTo(`/judge/${encodeURIComponent(name)}`);
    } catch (fault) {
      setError(fault);
      setSending(false);
    }
  };
  return (
    <form
      class="card judge-form"
      onSubmit={(event) => {
        event.preventDefault();
        void begin();
      }}
    >
      <h2>New session</h2>
      <Notice error={error} />
      <div class="fields">
        <Field label="Name" value={values.name} onInput={(name) => change({ name })} hint={hintOf(values.name)} />
        <Select
          label="Corpus"
          value={values.corpus}
          options={corpora.map(({ name }) => [name, name] as const)}
          onChange={(corpus) => change({ corpus })}
        />
        <Field
          {...{ label: 'Results per search', type: 'number', min: 1, max: 100, value: values.depth }}
          onInput={(depth) => change({ depth: Number(depth) })}
          hint="The first ones of each search are judged"
        />
      </div>
      <Searches values={values} change={change} />
      {hasQueries && (
        <Select
          label="Queries"
          value={from}
          options={[
            ['corpus', 'those of the corpus (queries.jsonl)'],
            ['text', 'my own'],
          ]}
          onChange={(one) => change({ from: one as Values['from'] })}
        />
      )}
      {from === 'corpus' ? (
        <Field
          {...{ label: 'Number of queries', type: 'number', min: 1, max: 1000, value: values.most }}
          onInput={(most) => change({ most: Number(most) })}
          hint="Drawn at random; 50 or more can show a difference"
        />
      ) : (
        <Lines value={values.text} onInput={(text) => change({ text })} />
      )}
      <div class="actions">
        <Button type="submit" kind="primary" disabled={isSending}>
          Begin
        </Button>
      </div>
    </form>
  );
}

function Searches({ values, change }: { values: Values; change: (part: Partial<Values>) => void }) {
  const switchOne = (name: RetrieverName, isOn: boolean) =>
    change({
      retrievers: isOn ? [...values.retrievers, name] : values.retrievers.filter((one) => one !== name),
    });
  return (
    <fieldset class="judge-choices">
      <legend>Searches</legend>
      {(Object.keys(RETRIEVERS) as RetrieverName[]).map((name) => (
        <label key={name} class="check">
          <input
            type="checkbox"
            checked={values.retrievers.includes(name)}
            onChange={(event) => switchOne(name, event.currentTarget.checked)}
          />
          {RETRIEVERS[name]}
        </label>
      ))}
      <label class="check">
        <input
          type="checkbox"
          checked={values.expand}
          onChange={(event) => change({ expand: event.currentTarget.checked })}
        />
        each with expanded queries, too
      </label>
    </fieldset>
  );
}

function Lines({ value, onInput }: { value: string; onInput: (value: string) => void }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>Queries, one per line</label>
      <textarea
        id={id}
        rows={8}
        value={value}
        aria-describedby={`${id}-hint`}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      <p class="hint" id={`${id}-hint`}>
        A line may begin with an id and a tab.
      </p>
    </div>
  );
}

function standard(corpora: JudgeOverview['corpora'], sessions: JudgeOverview['sessions']): Values {
  const { name: corpus } = corpora[0]!;
  const stem = folderName(corpus) || 'session';
  const taken = new Set(sessions.map(({ name }) => name));
  let number = 1;
  while (taken.has(`${stem}-${number}`)) number++;
  return {
    ...{ name: `${stem}-${number}`, corpus, from: 'corpus', most: 50, text: '' },
    ...{ retrievers: ['dense'], expand: true, depth: 10, seed: 42 },
  };
}

/** People name things with spaces; a folder has dashes in their place. */
function folderName(name: string): string {
  return name
    .trim()
    .replace(/[^a-zA-Z0-9._-]+/g, '-')
    .replace(/^[^a-zA-Z0-9]+/, '');
}

function hintOf(name: string): string {
  const folder = folderName(name);
  return folder === name || folder === '' ? 'Also the name of its folder' : `Its folder is ${folder}`;
}
