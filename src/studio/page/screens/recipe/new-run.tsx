import { useState } from 'preact/hooks';
import type { RecipeChoices, RecipeForm, RecipeSource } from '../../../shapes/recipes.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Command } from '../../components/empty.tsx';
import { Field, Select, Switch } from '../../components/field.tsx';
import { Notice } from '../../components/notice.tsx';
import { Text, visible } from '../../components/text.tsx';
import { goTo } from '../../shell/place.ts';
import { Copy } from '../../try/copy-dialog.tsx';
import { editsOf, faultsByField, type RunChoice, type Texts } from './form-state.ts';
import { Sections } from './sections.tsx';
import { Start } from './start.tsx';
import { useChecked } from './use-checked.ts';

/** Chooses a recipe, shows its form, plans what it says, and starts what was planned. */
export function NewRun({ source }: { source: string }) {
  const choices = useLoad((signal) => get<RecipeChoices>('/api/recipes', { signal }));
  const address = `/api/recipes/source?source=${encodeURIComponent(source)}`;
  const loaded = useLoad((signal) => get<RecipeSource>(address, { signal }));
  const { data } = choices;
  return (
    <>
      <p class="back">
        <a href="/runs">All runs</a>
      </p>
      <div class="title">
        <h1>New run</h1>
      </div>
      <Notice error={choices.error} onRetry={choices.reload} />
      {data && (
        <Select
          label="Recipe"
          hint="One that is part of llm-qe, or a YAML file in the folder of the studio."
          value={source}
          options={optionsOf(data, source)}
          onChange={(chosen) => goTo(`/runs?recipe=${encodeURIComponent(chosen)}`)}
        />
      )}
      <Notice error={loaded.error} onRetry={loaded.reload} />
      {data && loaded.data && <Form choices={data} source={loaded.data} />}
    </>
  );
}

function optionsOf({ recipes }: RecipeChoices, source: string) {
  const options = recipes.map(
    ({ source: one }) => [one, one.startsWith('./') ? visible(one) : `${one} – part of llm-qe`] as const,
  );
  return recipes.some((one) => one.source === source) ? options : [...options, [source, visible(source)] as const];
}

function Form({ choices, source }: { choices: RecipeChoices; source: RecipeSource }) {
  const { sections, engines, why } = choices;
  const [texts, setTexts] = useState<Texts>(source.values);
  const [run, setRun] = useState<RunChoice>({ run: '', engine: engines[0]!, offline: false });
  const form: RecipeForm = { source: source.source, edits: editsOf(sections, source.values, texts), ...run };
  const { checked, error } = useChecked(form);
  const faults = faultsByField(sections, checked?.faults ?? []);
  return (
    <>
      <Notice error={error} />
      {faults[''] !== undefined && <Notice error={new Error(faults[''])} />}
      <Sections {...{ sections, texts, faults }} onText={(key, text) => setTexts((now) => ({ ...now, [key]: text }))} />
      <RunFields {...{ run, engines }} name={checked?.run ?? ''} error={faults.run} onChange={setRun} />
      {checked !== undefined && checked.yaml !== '' && (
        <details class="more">
          <summary>The recipe as YAML</summary>
          <Command>{visible(checked.yaml)}</Command>
          <div class="actions">
            <Copy label="Copy the recipe" about="Save it as a file, such as mine.yaml." text={() => checked.yaml} />
          </div>
        </details>
      )}
      {checked !== undefined && checked.command !== '' && (
        <section class="part">
          <h2>At the command line</h2>
          {checked.recipeFile !== undefined && (
            <p>
              With the recipe above saved as <Text value={checked.recipeFile} />, where a start puts it:
            </p>
          )}
          <Command>{visible(checked.command)}</Command>
          <div class="actions">
            <Copy label="Copy the command" about="This does the same." text={() => checked.command} />
          </div>
        </section>
      )}
      <Start form={form} isFaulty={checked === undefined || checked.faults.length > 0} why={why} />
    </>
  );
}

interface RunFieldsProps {
  run: RunChoice;
  engines: readonly string[];
  /** The name that the run would have. */
  name: string;
  error: string | undefined;
  onChange: (run: RunChoice) => void;
}

function RunFields({ run, engines, name, error, onChange }: RunFieldsProps) {
  const { threads, engine, offline } = run;
  const inThreads = (text: string) => (Number(text) > 0 ? Number(text) : undefined);
  return (
    <fieldset class="settings">
      <legend>the run</legend>
      <div class="fields">
        <Field
          label="Name of the run"
          hint="Its folder below the runs; one that is there is continued. Default: the name of the recipe."
          {...{ value: run.run, placeholder: visible(name), error }}
          onInput={(text) => onChange({ ...run, run: text })}
        />
        <Select
          label="Engine"
          hint="local: in this program; trl: with TRL's trainer, if installed."
          value={engine}
          options={engines.map((one) => [one, one] as const)}
          onChange={(chosen) => onChange({ ...run, engine: chosen })}
        />
        <Field
          label="Threads"
          hint="Default: one per core."
          type="number"
          min={1}
          value={threads ?? ''}
          onInput={(text) => onChange({ ...run, threads: inThreads(text) })}
        />
        <Switch
          label="Offline"
          hint="No connection to anybody."
          checked={offline}
          onChange={(on) => onChange({ ...run, offline: on })}
        />
      </div>
    </fieldset>
  );
}
