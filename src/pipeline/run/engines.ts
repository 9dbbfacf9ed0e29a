/** The training engine: this program, or TRL if it is installed. */
export const ENGINES = ['local', 'trl'] as const;
export type Engine = (typeof ENGINES)[number];
