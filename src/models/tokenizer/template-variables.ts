import { z } from 'zod';
import { UsageError } from '../../system/index.ts';

/** Names that the template engine or this program sets: a variable of such a name would be refused or overwritten. */
const RESERVED = new Set([
  ...['messages', 'add_generation_prompt', 'bos_token', 'eos_token'],
  ...['raise_exception', 'strftime_now', 'range', 'namespace'],
  ...['true', 'false', 'none', 'True', 'False', 'None'],
]);

/** Extra variables for a chat template, such as `enable_thinking`, by name. */
export const templateVariablesSchema = z
  .record(z.string().regex(/^[A-Za-z]\w*$/), z.unknown())
  .superRefine((variables, context) => {
    const reserved = reservedNames(variables);
    if (reserved.length > 0) context.addIssue({ code: 'custom', message: messageOf(reserved) });
  });

/** @throws UsageError if a variable has a name that every chat template reserves */
export function checkTemplateVariables(variables: Readonly<Record<string, unknown>>): void {
  const reserved = reservedNames(variables);
  if (reserved.length > 0) throw new UsageError(messageOf(reserved), { fix: 'Remove it, or use another name.' });
}

function reservedNames(variables: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(variables).filter((name) => RESERVED.has(name));
}

function messageOf(names: readonly string[]): string {
  const [list, verb] = [names.join(', '), names.length === 1 ? 'is a reserved name' : 'are reserved names'];
  return `${list} ${verb} in chat templates and cannot be set`;
}
