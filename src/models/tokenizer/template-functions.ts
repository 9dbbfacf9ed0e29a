import type { Template } from '@huggingface/jinja';
import { boundedRange } from './bounded-work.ts';

/** The variable names of the {@link STRIPPING} functions; no template uses such names itself. */
const NAMES: Readonly<Record<string, string>> = {
  strip: '__strip_both',
  lstrip: '__strip_start',
  rstrip: '__strip_end',
};

/** The name of the bounded `range`: the template engine's own is unbounded and cannot be replaced. */
const RANGE = '__bounded_range';

/** Python's `strip`, `lstrip` and `rstrip`, with the characters to remove, as template functions. */
const STRIPPING: Readonly<Record<string, (text: string, characters: string) => string>> = {
  __strip_both: (text, characters) => stripEnd(stripStart(text, characters), characters),
  __strip_start: stripStart,
  __strip_end: stripEnd,
};

/** The variables that a template with replaced functions needs. */
export const REPLACEMENTS: Readonly<Record<string, unknown>> = { ...STRIPPING, [RANGE]: boundedRange };

function stripStart(text: string, characters: string): string {
  const letters = [...text];
  const first = letters.findIndex((letter) => !characters.includes(letter));
  return first === -1 ? '' : letters.slice(first).join('');
}

function stripEnd(text: string, characters: string): string {
  const letters = [...text];
  return letters.slice(0, letters.findLastIndex((letter) => !characters.includes(letter)) + 1).join('');
}

interface Node {
  type: string;
  [key: string]: unknown;
}

/**
 * Replaces calls such as `text.lstrip('\n')` with {@link STRIPPING} functions: the template engine ignores the argument
 * and would also remove spaces, which breaks Qwen 3's template. Replaces `range` with a bounded one. Changes the parsed
 * template in place.
 */
export function replaceFunctions(template: Template): void {
  visit(template.parsed);
}

function visit(node: unknown): void {
  if (Array.isArray(node)) {
    for (const one of node) visit(one);
    return;
  }
  if (!isNode(node)) return;
  if (node.type === 'CallExpression') rewrite(node);
  if (node.type === 'Identifier' && node.value === 'range') node.value = RANGE;
  for (const [key, value] of Object.entries(node)) {
    // `x.range` is a field of x, not a name.
    const isField = node.type === 'MemberExpression' && key === 'property' && node.computed !== true;
    if (!isField) visit(value);
  }
}

function rewrite(call: Node): void {
  const { callee, args } = call;
  if (!isNode(callee) || callee.type !== 'MemberExpression' || callee.computed === true) return;
  const { object, property } = callee;
  if (!isNode(property) || !Array.isArray(args) || args.length === 0) return;
  const name = NAMES[String(property.value)];
  if (name === undefined) return;
  call.callee = { ...property, value: name };
  call.args = [object, ...args];
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value;
}
