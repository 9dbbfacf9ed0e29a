import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

/** A key that does something: one character, a name such as `ArrowUp`, or two keys in turn, such as `g t`. */
export interface Shortcut {
  keys: string;
  what: string;
  run: () => void;
}

/** Those that work now, in the order of their making; `?` lists them. */
export const shortcuts = signal<readonly Shortcut[]>([]);
/** Single keys can be switched off, for those who speak or press them by chance (WCAG 2.1.4). */
export const areShortcutsOn = signal(localStorage.getItem('shortcuts') !== 'off');

export function switchShortcuts(on: boolean): void {
  areShortcutsOn.value = on;
  if (on) localStorage.removeItem('shortcuts');
  else localStorage.setItem('shortcuts', 'off');
}

/** Adds shortcuts while a component is shown. What they do may change from drawing to drawing; keys and words may not. */
export function useShortcuts(own: readonly Shortcut[]): void {
  const latest = useRef(own);
  latest.current = own;
  useEffect(() => {
    const added = own.map(({ keys, what }, at) => ({ keys, what, run: () => latest.current[at]!.run() }));
    shortcuts.value = [...shortcuts.value, ...added];
    return () => {
      shortcuts.value = shortcuts.value.filter((one) => !added.includes(one));
    };
  }, []);
}

/** The second of two keys must follow within this time. */
const PAUSE_MS = 1500;

/** Listens to the keyboard. Keys that are typed into a field, or over a dialog, are nobody's shortcut. */
export function listenToKeys(): () => void {
  let before: { key: string; at: number } | undefined;
  const onKey = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!areShortcutsOn.value || isTyping(event.target) || document.querySelector('dialog[open]')) return;
    const isPair = before !== undefined && event.timeStamp - before.at < PAUSE_MS;
    const found = (isPair ? find(`${before!.key} ${event.key}`) : undefined) ?? find(event.key);
    before = { key: event.key, at: event.timeStamp };
    if (found === undefined) return;
    before = undefined;
    event.preventDefault();
    found.run();
  };
  addEventListener('keydown', onKey);
  return () => removeEventListener('keydown', onKey);
}

/** A screen's own shortcut goes before an older one of the same keys. */
function find(keys: string): Shortcut | undefined {
  return shortcuts.value.findLast((one) => one.keys === keys);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof Element &&
    target.closest('input:not([type=checkbox], [type=radio], [type=range]), textarea, select') !== null
  );
}
