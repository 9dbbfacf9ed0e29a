import { useEffect, useRef, useState } from 'preact/hooks';

/** Browsers refuse an address that changes more than some times a second. */
const PAUSE_MS = 250;

/**
 * A value that is shown at once, and told when it has not changed for a moment: what is typed, or a slider, on its way into the address.
 * When the address says otherwise, as after Back, that is shown.
 */
export function useSettled<T extends string | number>(told: T, tell: (value: T) => void): [T, (value: T) => void] {
  const [value, setValue] = useState(told);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    clearTimeout(timer.current);
    setValue(told);
  }, [told]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const change = (next: T) => {
    setValue(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => tell(next), PAUSE_MS);
  };
  return [value, change];
}
