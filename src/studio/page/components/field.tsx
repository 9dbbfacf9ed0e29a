import type { ComponentChildren, InputHTMLAttributes } from 'preact';
import { useId } from 'preact/hooks';

interface Labelled {
  label: string;
  /** A sentence below the field. */
  hint?: ComponentChildren;
  /** What is wrong with the value. */
  error?: string | undefined;
}

type FieldProps = Labelled & {
  value: string | number;
  onInput: (value: string) => void;
  type?: 'text' | 'search' | 'number';
  placeholder?: string;
  min?: number;
  max?: number;
  step?: number | 'any';
  disabled?: boolean;
  /** What the browser offers to complete the text. */
  offers?: readonly string[];
};

/** A labelled input of one line. */
export function Field({ label, hint, error, onInput, type = 'text', offers, ...input }: FieldProps) {
  const id = useId();
  const onValue = (event: { currentTarget: HTMLInputElement }) => onInput(event.currentTarget.value);
  // The types of preact hold one shape for each type of input, and none for a type that is known only when it runs.
  const list = offers && `${id}-offers`;
  const attributes = {
    ...{ ...input, ...describedBy(id, hint, error), id, type, onInput: onValue },
    ...(list !== undefined && { list }),
  } as InputHTMLAttributes;
  return (
    <Frame {...{ id, label, hint, error }}>
      <input {...attributes} />
      {offers && (
        <datalist id={list}>
          {offers.map((offer) => (
            <option key={offer} value={offer} />
          ))}
        </datalist>
      )}
    </Frame>
  );
}

type AreaProps = Labelled & { value: string; onInput: (value: string) => void; placeholder?: string };

/** A labelled text of several lines. */
export function Area({ label, hint, error, value, onInput, placeholder }: AreaProps) {
  const id = useId();
  return (
    <Frame {...{ id, label, hint, error }}>
      <textarea
        id={id}
        rows={Math.min(8, value.split('\n').length + 1)}
        {...{ value, placeholder, ...describedBy(id, hint, error) }}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </Frame>
  );
}

type SwitchProps = Labelled & { checked: boolean; onChange: (checked: boolean) => void };

/** A labelled box to check. */
export function Switch({ label, hint, error, checked, onChange }: SwitchProps) {
  const id = useId();
  return (
    <div class="field">
      <label class="check" for={id}>
        <input
          id={id}
          type="checkbox"
          checked={checked}
          {...describedBy(id, hint, error)}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
        {label}
      </label>
      <Remarks {...{ id, hint, error }} />
    </div>
  );
}

type SelectProps = Labelled & {
  value: string;
  options: readonly (readonly [value: string, label: string])[];
  onChange: (value: string) => void;
};

/** A labelled choice of one among several. */
export function Select({ label, hint, error, value, options, onChange }: SelectProps) {
  const id = useId();
  return (
    <Frame {...{ id, label, hint, error }}>
      <select
        id={id}
        value={value}
        {...describedBy(id, hint, error)}
        onChange={(event) => onChange(event.currentTarget.value)}
      >
        {options.map(([one, text]) => (
          <option key={one} value={one}>
            {text}
          </option>
        ))}
      </select>
    </Frame>
  );
}

function Frame({ id, label, hint, error, children }: Labelled & { id: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      <Remarks {...{ id, hint, error }} />
    </div>
  );
}

/** What stands below a field. */
function Remarks({ id, hint, error }: Omit<Labelled, 'label'> & { id: string }) {
  return (
    <>
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="wrong" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
    </>
  );
}

function describedBy(id: string, hint: unknown, error: unknown) {
  const ids = [hint ? `${id}-hint` : '', error ? `${id}-error` : ''].filter(Boolean).join(' ');
  return { ...(ids !== '' && { 'aria-describedby': ids }), ...(Boolean(error) && { 'aria-invalid': 'true' as const }) };
}
