import { UsageError } from '../system/index.ts';

/** Options as the user writes them (`--gpu`) with their values. Undefined, false and an empty list count as not given. */
type Given = Readonly<Record<string, unknown>>;

/**
 * Refuses options that would have no effect because a server does the work.
 * @param what the part that is a server, in words ("the generator")
 * @throws UsageError that names them
 */
export function refuseIdleOptions(what: string, options: Given): void {
  refuse(options, `because ${what} is a server`, 'set this where the server is started.');
}

/** Refuses options for servers if no server does the work. @throws UsageError that names them */
export function refuseServerOptions(what: string, options: Given): void {
  refuse(options, `because ${what} is not a server`, `or use the address of a server as ${what}.`);
}

function refuse(options: Given, why: string, fix: string): void {
  const idle = Object.keys(options).filter((name) => isGiven(options[name]));
  if (idle.length === 0) return;
  const named = idle.length === 1 ? idle[0]! : `${idle.slice(0, -1).join(', ')} and ${idle.at(-1)!}`;
  throw new UsageError(`${named} ${idle.length === 1 ? 'has' : 'have'} no effect, ${why}`, {
    fix: `Omit ${idle.length === 1 ? 'it' : 'them'}; ${fix}`,
  });
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
}
