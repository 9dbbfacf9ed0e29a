import type { z } from 'zod';
import type { CommandFiles, Progress, RenamedSettings } from '../system/index.ts';

/** What a command is given besides its options. */
export interface CommandContext {
  /** Fires on Ctrl-C. */
  signal: AbortSignal;
  /** Draws on stderr. */
  progress: Progress;
  /** Prints a line for people: on stdout, or on stderr when `--json` keeps stdout for the document. */
  say(line: string): void;
  /** Prints a warning on stderr. */
  warn(line: string): void;
  /** Prints the one JSON document of `--json`; without `--json` it does nothing. */
  json(document: unknown): void;
}

/** A positional argument. */
export interface CommandArgument {
  /** The key it has in the schema, in camel case; shown in capitals. */
  key: string;
  required: boolean;
  /** Takes all remaining words (the schema then holds an array). */
  variadic?: boolean;
}

/**
 * One command. The schema is the only place that names its options: each key becomes `--kebab-case`, its default and
 * its `.describe()` become the help, and what the user typed is validated by it. Numbers are written as `z.coerce.number()`,
 * flags as `z.boolean().default(false)` (a flag whose default is true becomes `--no-...`; an optional one takes both), repeatable options as
 * `z.array(...)`; `.meta({ valueName: 'DIR' })` names the value in the help, and `mayBeBlank` lets it be empty.
 */
export interface Command<S extends z.ZodObject = z.ZodObject> {
  /** One word, or two for a group ("data merge"). */
  name: string;
  summary: string;
  /** More about it, in paragraphs. */
  description?: string;
  arguments?: CommandArgument[];
  options: S;
  /** Names that options had before, each with the key that took its place: such an option is refused with the new name. */
  renamed?: RenamedSettings;
  /** What it reads and writes, defaults resolved: before it runs, outputs onto inputs are refused. */
  files?(options: z.output<S>): CommandFiles;
  /** Lines to copy, each with what it does. */
  examples: [commandLine: string, what: string][];
  run(options: z.output<S>, context: CommandContext): Promise<void>;
}

/** Gives a command literal its types. */
export function defineCommand<S extends z.ZodObject>(command: Command<S>): Command<S> {
  return command;
}
