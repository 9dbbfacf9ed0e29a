import { areShortcutsOn, shortcuts, switchShortcuts } from './shortcuts.ts';

/** The shortcuts that work now, and the switch that turns them off. */
export function ShortcutList() {
  return (
    <>
      <dl class="keys">
        {shortcuts.value.map(({ keys, what }) => (
          <div key={keys}>
            <dt>
              {keys.split(' ').map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label class="check">
        <input
          type="checkbox"
          checked={areShortcutsOn.value}
          onChange={(event) => switchShortcuts(event.currentTarget.checked)}
        />
        Use single-key shortcuts
      </label>
    </>
  );
}
