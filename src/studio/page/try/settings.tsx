import { useId } from 'preact/hooks';
import type { TryFacts, TryRetriever } from '../../shapes/try.ts';
import { Field, Select } from '../components/field.tsx';
import { setParams } from '../shell/place.ts';
import { useSettled } from './settled.ts';
import { RETRIEVERS, type TryState } from './state.ts';

/** What is moved and typed, as it is shown now; the address follows. */
export interface ShownSettings {
  values: Pick<TryState, 'alpha' | 'filter' | 'queryRepeats'>;
  setAlpha: (alpha: number) => void;
  setFilter: (filter: string) => void;
  setQueryRepeats: (repeats: number) => void;
}

export function useShownSettings(told: TryState): ShownSettings {
  const tell = (name: string) => (value: string | number) => setParams({ [name]: value }, { replace: true });
  const [alpha, setAlpha] = useSettled(told.alpha, tell('alpha'));
  const [filter, setFilter] = useSettled(told.filter, tell('filter'));
  const [queryRepeats, setQueryRepeats] = useSettled(told.queryRepeats, tell('repeats'));
  return { values: { alpha, filter, queryRepeats }, setAlpha, setFilter, setQueryRepeats };
}

interface SettingsProps {
  facts: TryFacts;
  state: TryState;
  shown: ShownSettings;
}

/** How it is searched. All but the number of expansions acts at once. */
export function Settings({ facts, state, shown }: SettingsProps) {
  const { mostSamples } = facts;
  return (
    <section class="card fields" aria-label="How to search">
      <CorpusChoice facts={facts} state={state} />
      <Select
        label="Retriever"
        value={state.retriever}
        options={RETRIEVERS}
        onChange={(by) => setParams({ by: by as TryRetriever })}
      />
      <Select
        label="Expansions"
        value={`${state.samples}`}
        options={Array.from({ length: mostSamples }, (_none, at) => [`${at + 1}`, `${at + 1}`] as const)}
        onChange={(n) => setParams({ n })}
      />
      {state.retriever !== 'bm25' && <Alpha alpha={state.alpha} onInput={shown.setAlpha} />}
      {state.retriever !== 'dense' && (
        <Field
          label="Query repeats (BM25)"
          {...{ type: 'number', min: 1, max: 100, value: state.queryRepeats }}
          onInput={(text) => {
            const repeats = Math.round(Number(text));
            if (repeats >= 1 && repeats <= 100) shown.setQueryRepeats(repeats);
          }}
        />
      )}
      <Field
        label="Only documents with"
        {...{ type: 'search', value: state.filter, placeholder: 'any text' }}
        onInput={(filter) => shown.setFilter(filter.slice(0, 200))}
      />
    </section>
  );
}

/** Which corpus is searched; nothing if there is one alone. */
export function CorpusChoice({ facts: { corpora }, state }: Omit<SettingsProps, 'shown'>) {
  if (corpora.length < 2) return null;
  return (
    <Select
      label="Corpus"
      value={state.corpus}
      options={corpora.map(({ name }) => [name, name] as const)}
      onChange={(corpus) => setParams({ corpus })}
    />
  );
}

function Alpha({ alpha, onInput }: { alpha: number; onInput: (alpha: number) => void }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>Expansion weight (alpha)</label>
      <div class="slider">
        <input
          {...{ id, type: 'range', min: 0, max: 1, step: 0.05, value: alpha }}
          onInput={(event) => onInput(Number(event.currentTarget.value))}
        />
        <output for={id}>{alpha.toFixed(2)}</output>
      </div>
    </div>
  );
}
