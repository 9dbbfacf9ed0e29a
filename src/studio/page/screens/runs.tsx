import { place } from '../shell/place.ts';
import { RunList } from './runs/list.tsx';
import { Run } from './runs/run.tsx';

/** All runs, or the one that the address names. */
export default function Runs() {
  const [name] = place.value.rest;
  return name === undefined ? <RunList /> : <Run key={name} name={name} />;
}
