/** What trains: this program, or TRL where it is installed. */
export const ENGINES = ['local', 'trl'] as const;
export type Engine = (typeof ENGINES)[number];
