import type { Template } from '@huggingface/jinja';
import { boundedRange } from './bounded-work.ts';

/** Names under which {@link STRIPPING} stands among a template's variables; no template has such names of its own. */
const NAMES: Readonly<Record<string, string>> = {
  strip: '__strip_both',
  lstrip: '__strip_start',
  rstrip: '__strip_end',
};

/** Stands for `range`, which the template engine makes without a bound and lets nobody replace. */
const RANGE = '__bounded_range';

/** Python's `strip`, `lstrip` and `rstrip` with the characters that are to go, as functions for a template. */
const STRIPPING: Readonly<Record<string, (text: string, characters: string) => string>> = {
  __strip_both: (text, characters) => stripEnd(stripStart(text, characters), characters),
  __strip_start: stripStart,
  __strip_end: stripEnd,
};

/** Variables that a template needs whose functions were replaced. */
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
 * Makes `text.lstrip('\n')` and its like a call of {@link STRIPPING}: the template engine overlooks their argument and
 * would cut spaces off as well, which Qwen 3's template must not. `range` becomes one with a bound. Changes the parsed template in
 * place.
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
    // `x.range` is a field of x, and no name.
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
