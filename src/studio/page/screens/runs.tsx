import { place } from '../shell/place.ts';
import { Compare } from './run/compare.tsx';
import { RunList } from './run/list.tsx';
import { Run } from './run/run.tsx';

/** All runs, the one that the address names, or the two that it compares. */
export default function Runs() {
  const [name] = place.value.rest;
  const [a, b] = ['a', 'b'].map((which) => place.value.params.get(which));
  if (name === undefined && a && b) return <Compare a={a} b={b} />;
  return name === undefined ? <RunList /> : <Run key={name} name={name} />;
}
