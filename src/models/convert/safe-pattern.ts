import { createContext, Script } from 'node:vm';
import { ModelError } from '../../system/index.ts';

/** A module name is matched in microseconds; a pattern that takes this long is broken or hostile. */
const LIMIT_MILLISECONDS = 200;
const MAX_PATTERN_LENGTH = 1000;
/** Words, dots and alternatives, which cannot cause backtracking. */
const HARMLESS = /^[\w.|-]*$/;

const sandbox: { pattern: string; text: string } = { pattern: '', text: '' };
const context = createContext(sandbox, { codeGeneration: { strings: false, wasm: false } });
const script = new Script('new RegExp(pattern).test(text)');

/**
 * Returns whether an untrusted regular expression matches a text. JavaScript's engine can take centuries for a pattern
 * such as `([a-z]+)+!`, so the search stops after 200 ms.
 * @returns false for an expression that only Python understands
 * @throws ModelError if the expression is absurdly long or takes too long
 */
export function matchesPattern(pattern: string, text: string): boolean {
  if (pattern.length > MAX_PATTERN_LENGTH) throw refused(pattern, `is longer than ${MAX_PATTERN_LENGTH} characters`);
  try {
    const whole = `^(.*\\.)?(${pattern})$`;
    if (HARMLESS.test(pattern)) return new RegExp(whole).test(text);
    Object.assign(sandbox, { pattern: whole, text });
    return Boolean(script.runInContext(context, { timeout: LIMIT_MILLISECONDS }));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') {
      throw refused(pattern, `takes more than ${LIMIT_MILLISECONDS} ms to match ${JSON.stringify(text.slice(0, 80))}`);
    }
    return false;
  }
}

function refused(pattern: string, reason: string): ModelError {
  return new ModelError(`the pattern ${JSON.stringify(pattern.slice(0, 80))} of adapter_config.json ${reason}`, {
    fix: 'Replace the pattern with the names of the modules.',
  });
}
