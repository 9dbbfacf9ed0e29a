import type { z } from 'zod';
import type { CommandFiles, Progress, RenamedSettings } from '../system/index.ts';

/** What a command receives in addition to its options. */
export interface CommandContext {
  /** Fires on Ctrl-C. */
  signal: AbortSignal;
  /** Reports progress on stderr. */
  progress: Progress;
  /** Prints a line for people: on stdout, or on stderr with `--json`, which reserves stdout for the document. */
  say(line: string): void;
  /** Prints a warning on stderr. */
  warn(line: string): void;
  /** Prints the one JSON document of `--json`. Does nothing without `--json`. */
  json(document: unknown): void;
}

/** A positional argument. */
export interface CommandArgument {
  /** Its key in the schema, in camel case; the help shows it in capitals. */
  key: string;
  required: boolean;
  /** Whether it takes all remaining words; the schema then holds an array. */
  variadic?: boolean;
}

/**
 * One command. The schema is the only place that names its options: each key becomes `--kebab-case`, its default and
 * its `.describe()` become the help, and it validates what the user typed. Write a number as `z.coerce.number()`, a
 * flag as `z.boolean().default(false)` and a repeatable option as `z.array(...)`. A flag whose default is true becomes
 * `--no-...`; an optional flag accepts both forms. `.meta({ valueName: 'DIR' })` names the value in the help;
 * `.meta({ mayBeBlank: true })` allows an empty value.
 */
export interface Command<S extends z.ZodObject = z.ZodObject> {
  /** One word, or two for a group ("data merge"). */
  name: string;
  summary: string;
  /** Further paragraphs for its help. */
  description?: string;
  arguments?: CommandArgument[];
  options: S;
  /** Former option names, each with the key that replaced it. A former name is refused with a message that names the new one. */
  renamed?: RenamedSettings;
  /** How long it may take to end by itself after Ctrl-C, in milliseconds. Default 900. */
  graceMilliseconds?: number;
  /** What it reads and writes, with defaults resolved. Outputs that would overwrite inputs are refused before it runs. */
  files?(options: z.output<S>): CommandFiles;
  /** A list for the help, such as of the choices of an option, each in one line. */
  list?: { heading: string; items: readonly (readonly [name: string, what: string])[] };
  /** Command lines to copy, each with what it does. */
  examples: [commandLine: string, what: string][];
  run(options: z.output<S>, context: CommandContext): Promise<void>;
}

/** Returns the command, with the types that its schema implies. */
export function defineCommand<S extends z.ZodObject>(command: Command<S>): Command<S> {
  return command;
}
