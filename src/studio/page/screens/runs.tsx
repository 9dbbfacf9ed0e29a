import { place } from '../shell/place.ts';
import { NewRun } from './recipe/new-run.tsx';
import { Compare } from './run/compare.tsx';
import { RunList } from './run/list.tsx';
import { Run } from './run/run.tsx';

/** All runs, the one that the address names, the two that it compares, or a new one. */
export default function Runs() {
  const [name] = place.value.rest;
  const [a, b] = ['a', 'b'].map((which) => place.value.params.get(which));
  const recipe = place.value.params.get('recipe');
  if (name === undefined && recipe !== null) return <NewRun key={recipe} source={recipe} />;
  if (name === undefined && a && b) return <Compare a={a} b={b} />;
  return name === undefined ? <RunList /> : <Run key={name} name={name} />;
}
