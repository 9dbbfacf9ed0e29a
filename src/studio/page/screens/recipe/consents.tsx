import type { Consent } from '../../../shapes/recipes.ts';
import { Text } from '../../components/text.tsx';

interface ConsentsProps {
  consents: readonly Consent[];
  /** Ids. */
  given: readonly string[];
  onChange: (given: string[]) => void;
}

/** What a run does beyond this machine's own models, each with a box to confirm it. */
export function Consents({ consents, given, onChange }: ConsentsProps) {
  if (consents.length === 0) return null;
  return (
    <fieldset class="settings consents">
      <legend>To confirm</legend>
      {consents.map(({ id, kind, name, text }) => (
        <label key={id} class="check">
          <input
            type="checkbox"
            checked={given.includes(id)}
            onChange={(event) =>
              onChange(event.currentTarget.checked ? [...given, id] : given.filter((one) => one !== id))
            }
          />
          <span>
            {kind === 'code' ? 'Code of yours' : 'Server'}:{' '}
            <strong>
              <Text value={name} />
            </strong>{' '}
            <Text value={text} />
          </span>
        </label>
      ))}
    </fieldset>
  );
}

export function areAllGiven(consents: readonly Consent[], given: readonly string[]): boolean {
  return consents.every(({ id }) => given.includes(id));
}
