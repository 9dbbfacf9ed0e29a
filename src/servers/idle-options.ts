import { UsageError } from '../system/index.ts';

/** Options as they are written (`--gpu`), and what each was given; undefined, false and an empty list are nothing. */
type Given = Readonly<Record<string, unknown>>;

/**
 * Refuses options that would do nothing, because a server does the work that they are about.
 * @param what what is a server, in words ("the generator")
 * @throws UsageError naming them
 */
export function refuseIdleOptions(what: string, options: Given): void {
  refuse(options, `because ${what} is a server`, 'such settings are made where the server is started.');
}

/** Refuses options that are about servers, because no server does the work. @throws UsageError naming them */
export function refuseServerOptions(what: string, options: Given): void {
  refuse(options, `because ${what} is no server`, `or name the address of a server as ${what}.`);
}

function refuse(options: Given, why: string, fix: string): void {
  const idle = Object.keys(options).filter((name) => isGiven(options[name]));
  if (idle.length === 0) return;
  const named = idle.length === 1 ? idle[0]! : `${idle.slice(0, -1).join(', ')} and ${idle.at(-1)!}`;
  throw new UsageError(`${named} ${idle.length === 1 ? 'has' : 'have'} no effect, ${why}`, {
    fix: `Leave ${idle.length === 1 ? 'it' : 'them'} away; ${fix}`,
  });
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
}
