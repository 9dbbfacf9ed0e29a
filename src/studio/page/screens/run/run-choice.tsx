import { useState } from 'preact/hooks';
import { Button } from '../../components/button.tsx';
import { Field, Select } from '../../components/field.tsx';
import { visible } from '../../components/text.tsx';
import { setParams } from '../../shell/place.ts';

/** More runs than these are not listed in a menu, which a browser draws in whole: their names are typed. */
const MOST_LISTED = 100;
/** Names that are offered while one is typed. */
const MOST_OFFERED = 20;

/** Chooses two runs to compare: at first the last, with the one before it as its baseline. */
export function RunChoice({ names }: { names: readonly string[] }) {
  const [a, setA] = useState(names[1]!);
  const [b, setB] = useState(names[0]!);
  const isBoth = [a, b].every((name) => names.includes(name));
  const One = names.length > MOST_LISTED ? TypedRun : ListedRun;
  return (
    <section>
      <h2>Compare two runs</h2>
      <div class="finder">
        <One label="Run A, the baseline" {...{ names, value: a, onChange: setA }} />
        <One label="Run B" {...{ names, value: b, onChange: setB }} />
        <Button disabled={a === b || !isBoth} onClick={() => setParams({ a, b })}>
          Compare
        </Button>
      </div>
    </section>
  );
}

interface OneProps {
  label: string;
  names: readonly string[];
  value: string;
  onChange: (name: string) => void;
}

function ListedRun({ names, ...props }: OneProps) {
  return <Select {...props} options={names.map((name) => [name, visible(name)] as const)} />;
}

function TypedRun({ label, names, value, onChange }: OneProps) {
  const wanted = value.toLowerCase();
  const offers: string[] = [];
  for (const name of names) {
    if (offers.length === MOST_OFFERED) break;
    if (name.toLowerCase().includes(wanted)) offers.push(name);
  }
  return (
    <Field
      {...{ label, value, offers, type: 'search', placeholder: 'name of a run', onInput: onChange }}
      error={value !== '' && !names.includes(value) ? 'There is no run of this name.' : undefined}
    />
  );
}
