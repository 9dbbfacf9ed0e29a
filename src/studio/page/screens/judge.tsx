import { Session } from '../judge/session.tsx';
import { Start } from '../judge/start.tsx';
import { place } from '../shell/place.ts';

/** Judging sessions: the list of them, or one. */
export default function Judge() {
  const [name] = place.value.rest;
  return name === undefined ? <Start /> : <Session key={name} name={name} />;
}
