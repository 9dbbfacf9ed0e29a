import { Argument, type Command as Commander, InvalidArgumentError, Option } from 'commander';
import type { z } from 'zod';
import { optionGroup, renamedSetting, toKebab, UsageError } from '../system/index.ts';
import type { Command } from './command.ts';

/** What the help and the parser need to know about one key of a command's schema. */
interface OptionFacts {
  kind: 'flag' | 'value' | 'list';
  /** Whether the value, or each value of a list, is a number. */
  isNumeric: boolean;
  description: string;
  /** Heading in the help. */
  group: string | undefined;
  valueName: string;
  choices: string[] | undefined;
  defaultValue: unknown;
  required: boolean;
}

/** Adds the arguments and options of a command's schema to commander. */
export function addOptions(target: Commander, command: Command): void {
  const positional = new Map((command.arguments ?? []).map((argument) => [argument.key, argument]));
  for (const { key, required, variadic } of positional.values()) {
    const name = `${toKebab(key).toUpperCase()}${variadic ? '...' : ''}`;
    const argument = new Argument(required ? `<${name}>` : `[${name}]`, describeKey(command, key).description);
    target.addArgument(argument);
  }
  for (const key of Object.keys(command.options.shape)) {
    if (positional.has(key)) continue;
    const facts = describeKey(command, key);
    const option = toOption(key, facts);
    target.addOption(facts.group === undefined ? option : option.helpGroup(facts.group));
    // A flag without a default has three states: set, unset (`--no-...`) and not given.
    const hasThree = facts.kind === 'flag' && facts.defaultValue === undefined;
    if (hasThree) target.addOption(new Option(`--no-${toKebab(key)}`).hideHelp());
  }
  for (const key of Object.keys(command.renamed ?? {})) target.addOption(formerOption(key, command));
}

/** Validates what the user typed against the command's schema. @throws UsageError that names the option */
export function parseOptions<S extends z.ZodObject>(command: Command<S>, typed: Record<string, unknown>): z.output<S> {
  refuseBlanks(command, typed);
  const parsed = command.options.safeParse(withNumbers(command, typed));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const key = String(issue.path[0] ?? '');
  const isMissing = issue.path.length === 1 && typed[key] === undefined;
  throw wrongUse(command, key, isMissing ? 'is required' : issue.message);
}

/** Converts the values of numeric options to numbers. The schema refuses whatever is not a number. */
function withNumbers(command: Command, typed: Record<string, unknown>): Record<string, unknown> {
  const numberOf = (word: unknown) =>
    typeof word === 'string' && Number.isFinite(Number(word)) ? Number(word) : (word as unknown);
  return Object.fromEntries(
    Object.entries(typed).map(([key, value]) => {
      if (!Object.hasOwn(command.options.shape, key) || !describeKey(command, key).isNumeric) return [key, value];
      return [key, Array.isArray(value) ? value.map(numberOf) : numberOf(value)];
    }),
  );
}

/** A former option name: hidden from the help, and refused with a message that names the new one. */
function formerOption(key: string, { renamed = {} }: Command): Option {
  const refuse = () => {
    const { message, fix } = renamedSetting(key, renamed, (name) => `--${toKebab(name)}`)!;
    throw new UsageError(message, { fix });
  };
  // Without the preset, commander would accept the option without a value.
  return new Option(`--${toKebab(key)} [VALUE]`).hideHelp().preset('').argParser(refuse);
}

/** Refuses empty values: `--alpha "$ALPHA"` with ALPHA unset would be read as 0, or as the current folder. */
function refuseBlanks(command: Command, typed: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(typed)) {
    const mayBeBlank = command.options.shape[key]?.meta()?.mayBeBlank === true;
    const isBlank = (Array.isArray(value) ? value : [value]).some(
      (one) => typeof one === 'string' && one.trim() === '',
    );
    if (isBlank && !mayBeBlank) throw wrongUse(command, key, 'the value is empty');
  }
}

function wrongUse(command: Command, key: string, reason: string): UsageError {
  const positional = command.arguments?.some((argument) => argument.key === key) ?? false;
  const name = positional ? toKebab(key).toUpperCase() : `--${toKebab(key)}`;
  return new UsageError(key === '' ? reason : `${name}: ${reason}`, { fix: `See \`llm-qe ${command.name} --help\`.` });
}

function toOption(key: string, facts: OptionFacts): Option {
  const name = toKebab(key);
  if (facts.kind === 'flag') {
    return new Option(facts.defaultValue === true ? `--no-${name}` : `--${name}`, facts.description);
  }
  const option = new Option(`--${name} <${facts.valueName}>`, describeDefault(facts));
  if (facts.kind === 'list') {
    option.argParser((value: string, previous: string[] | undefined) => [...(previous ?? []), value]);
  } else if (facts.choices !== undefined) {
    option.argParser((value: string) => {
      if (!facts.choices!.includes(value))
        throw new InvalidArgumentError(`Allowed values: ${facts.choices!.join(', ')}.`);
      return value;
    });
  }
  return option;
}

/** More choices than this are left to the description to summarise. */
const MOST_CHOICES = 20;

/** A default in words at the end of a description joins the notes; a default value of the schema replaces it. */
function describeDefault({ kind, description, choices, defaultValue, required }: OptionFacts): string {
  const [, text = '', inWords] = /^(.*?)(?: \((default:? [^()]*)\))?$/s.exec(description)!;
  const notes = kind === 'list' ? ['repeatable'] : [];
  if (choices !== undefined && choices.length <= MOST_CHOICES) notes.push(choices.join(' | '));
  if (required) notes.push('required');
  else if (formatDefault(defaultValue) !== '') notes.push(`default ${formatDefault(defaultValue)}`);
  else if (inWords !== undefined) notes.push(inWords);
  return notes.length === 0 ? text : `${text} (${notes.join('; ')})`;
}

/** Returns '' if there is no default, or if it is an empty list. */
function formatDefault(value: unknown): string {
  if (value === undefined) return '';
  return Array.isArray(value) ? value.join(' ') : String(value);
}

function describeKey(command: Command, key: string): OptionFacts {
  let schema = command.options.shape[key] as z.ZodType | undefined;
  if (schema === undefined) throw new Error(`command ${command.name} has no option ${key}`);
  let description: string | undefined;
  let group: string | undefined;
  let valueName: string | undefined;
  let defaultValue: unknown;
  let required = true;
  for (;;) {
    const meta = schema.meta();
    description ??= schema.description;
    group ??= optionGroup(schema);
    valueName ??= typeof meta?.valueName === 'string' ? meta.valueName : undefined;
    const definition = schema.def as { type: string; innerType?: z.ZodType; in?: z.ZodType; defaultValue?: unknown };
    // A command may override the default of a shared option: the outermost one counts.
    if (definition.type === 'default' || definition.type === 'prefault') defaultValue ??= definition.defaultValue;
    if (['default', 'prefault', 'optional'].includes(definition.type)) required = false;
    const inner = definition.innerType ?? (definition.type === 'pipe' ? definition.in : undefined);
    if (inner === undefined) break;
    schema = inner;
  }
  const { type, element, items } = schema.def as { type: string; element?: z.ZodType; items?: z.ZodType[] };
  const one = element ?? items?.[0] ?? schema;
  return {
    kind: type === 'boolean' ? 'flag' : element !== undefined || items !== undefined ? 'list' : 'value',
    isNumeric: (one.def as { type: string }).type === 'number',
    description: description ?? '',
    group,
    valueName: valueName ?? ((one.def as { type: string }).type === 'number' ? 'N' : 'VALUE'),
    choices:
      type === 'enum'
        ? Object.values((schema.def as unknown as { entries: Record<string, string> }).entries)
        : undefined,
    defaultValue,
    required,
  };
}
