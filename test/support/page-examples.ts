import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

/** The first block of code in a language under a heading of a page. @throws Error if there is none */
export function exampleOf(page: string, heading: string, language: string): string {
  const text = readFileSync(page, 'utf8');
  const [, section] = text.split(new RegExp(`^#+ ${heading}$`, 'm'));
  const code = section?.split(/^#+ /m)[0]?.match(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``))?.[1];
  if (code === undefined) throw new Error(`${page} has no ${language} under ${heading}`);
  return code;
}

/** Puts the addresses of a test's servers into an example. @throws Error if the example has not got one of them */
export function withAddresses(code: string, addresses: Readonly<Record<string, string>>): string {
  return Object.entries(addresses).reduce((text, [shown, own]) => {
    if (!text.includes(shown)) throw new Error(`the example does not name ${shown}`);
    return text.replaceAll(shown, own);
  }, code);
}

/** Runs a program to its end, without blocking the servers of this process. @returns what it printed */
export async function printed(program: string, words: readonly string[], cwd = '.'): Promise<string> {
  const env = { ...process.env, OPENAI_API_KEY: '', LANGSMITH_TRACING: 'false' };
  const { stdout } = await promisify(execFile)(program, [...words], { cwd, env });
  return stdout.trim();
}

/** Runs JavaScript of a page in this checkout, where `llm-qe` is the package itself. */
export function printedByNode(code: string): Promise<string> {
  return printed(process.execPath, ['--input-type=module', '--eval', code]);
}
