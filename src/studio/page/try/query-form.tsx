import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { TryExamples, TryFacts } from '../../shapes/try.ts';
import { useLoad } from '../client/load.ts';
import { get } from '../client/request.ts';
import { Button } from '../components/button.tsx';
import { visible } from '../components/text.tsx';
import { setParams } from '../shell/place.ts';
import { useShortcuts } from '../shell/shortcuts.ts';
import { CorpusChoice } from './settings.tsx';
import type { TryState } from './state.ts';
import { grouped } from './words.ts';

const SHOWN = 8;

/** The query, with those that came with the corpus as suggestions. */
export function QueryForm({ state, facts }: { state: TryState; facts: TryFacts }) {
  const [draft, setDraft] = useState(state.query);
  useEffect(() => setDraft(state.query), [state.query]);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const write = () => {
    input.current?.focus();
    input.current?.select();
  };
  useShortcuts([{ keys: '/', what: 'write a query', run: write }]);
  const { data } = useLoad((signal) => examplesOf(state.corpus, signal), [state.corpus]);
  const fault = faultOf(draft, facts.longestQuery);
  const submit = (event: Event) => {
    event.preventDefault();
    if (fault === undefined && draft.trim() !== '') setParams({ q: draft.trim() });
  };
  return (
    <form class="query" onSubmit={submit}>
      <div class="field">
        <label for={id}>Query</label>
        <input
          {...{ id, type: 'search', value: draft, dir: 'auto', autocomplete: 'off', list: `${id}-examples` }}
          ref={input}
          placeholder="What would you search for?"
          aria-invalid={fault !== undefined}
          {...(fault !== undefined && { 'aria-describedby': `${id}-fault` })}
          onInput={(event) => setDraft(event.currentTarget.value)}
        />
        {fault !== undefined && (
          <p class="wrong" id={`${id}-fault`} role="alert">
            {fault}
          </p>
        )}
        <datalist id={`${id}-examples`}>
          {data?.queries.map(({ id: query, text }) => (
            <option key={query} value={text} />
          ))}
        </datalist>
      </div>
      <Button type="submit" kind="primary" disabled={fault !== undefined || draft.trim() === ''}>
        Search
      </Button>
      {state.query === '' && <CorpusChoice {...{ facts, state }} />}
      {state.query === '' && data !== undefined && data.queries.length > 0 && <Examples examples={data} />}
    </form>
  );
}

function examplesOf(corpus: string, signal: AbortSignal): Promise<TryExamples> {
  return get(`/api/try/examples?${new URLSearchParams({ corpus })}`, { signal });
}

/** Links, so that each can be opened in a tab of its own. */
function Examples({ examples: { queries, total } }: { examples: TryExamples }) {
  const linkTo = (text: string) => {
    const params = new URLSearchParams(location.search);
    params.set('q', text);
    return `/try?${params}`;
  };
  return (
    <section class="examples">
      <h2>Queries of this corpus</h2>
      <ul>
        {queries.slice(0, SHOWN).map(({ id, text, isJudged }) => (
          <li key={id}>
            <a href={linkTo(text)} dir="auto">
              {visible(text)}
            </a>
            {isJudged && <span class="soft"> judged</span>}
          </li>
        ))}
      </ul>
      {total > SHOWN && <p class="hint">The field suggests more of its {grouped(total)} queries.</p>}
    </section>
  );
}

function faultOf(query: string, longest: number): string | undefined {
  if (query.length <= longest) return undefined;
  return `A query has at most ${grouped(longest)} characters; this one has ${grouped(query.length)}.`;
}
