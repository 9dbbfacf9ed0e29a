import type { TryFacts } from '../../shapes/try.ts';
import type { ArmState, TryState } from './state.ts';

/** The values that the command line has by itself. */
const USUAL = { temperature: 1, topP: 0.9, topK: 0, maxTokens: 128, seed: 42 };
const TASKS = ['q2d', 'q2q', 'q2e', 'q2c'];

/** The command lines that show the same in a terminal, one per arm. */
export function commandsOf(state: TryState, facts: TryFacts): string {
  const lines = state.arms.map((arm) => commandOf(state, arm, facts));
  return lines.join('\n\n');
}

function commandOf(state: TryState, arm: ArmState, facts: TryFacts): string {
  const { generators = [], adapters = [] } = facts.writers.find(({ name }) => name === arm.writer) ?? {};
  const { sampling, seed } = facts;
  const isTask = TASKS.includes(arm.promptName ?? '');
  const file = `prompt-${arm.key}.txt`;
  const changed = (name: keyof typeof USUAL, option: string, value: number) =>
    value === USUAL[name] ? [] : [[option, `${value}`]];
  const options: string[][] = [
    ['--corpus', pathOf(state, facts)],
    ['--query', state.query],
    ['--retriever', state.retriever],
    ...(facts.encoder === 'all-minilm-l6-v2' ? [] : [['--encoder', facts.encoder]]),
    ...Object.entries(facts.searchSettings).map(([name, value]) => [
      `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      `${value}`,
    ]),
    ['--expand'],
    ...generators.map((one) => ['--generator', one]),
    ...adapters.map((one) => ['--adapter', one]),
    ...facts.generatorOptions.map(([option, value]) => (value === '' ? [option] : [option, value])),
    isTask ? ['--task', arm.promptName!] : ['--prompt', file],
    ['--samples', `${state.samples}`],
    ...(state.retriever === 'bm25' ? [] : [['--alpha', `${state.alpha}`]]),
    ...(state.retriever === 'dense' ? [] : [['--query-repeats', `${state.queryRepeats}`]]),
    ...changed('seed', '--seed', seed),
    ...changed('temperature', '--temperature', sampling.temperature),
    ...changed('topP', '--top-p', sampling.topP),
    ...changed('topK', '--top-k', sampling.topK),
    ...changed('maxTokens', '--max-tokens', sampling.maxTokens),
  ];
  const command = ['llm-qe search', ...options.map(([name, ...values]) => optionOf(name!, values))].join(' \\\n  ');
  return isTask ? command : `printf '%s' ${quoted(arm.prompt)} > ${file}\n${command}`;
}

/** TypeScript that ranks the same documents with the expansions on the screen. */
export function codeOf(state: TryState, texts: readonly (readonly string[])[], facts: TryFacts): string {
  const { retriever, alpha, queryRepeats } = state;
  const settings = { encoder: facts.encoder, ...facts.searchSettings, alpha, queryRepeats };
  const arms = texts.map(
    (one, at) => `  ${state.arms[at]!.key}: ${indented(one.filter((text) => text.trim() !== ''))},`,
  );
  // The build of the page would take a plain import in this text for one of the page.
  return `import { CorpusSearch, defaultRetrievalSettings, openCorpus } from ${literal('llm-qe')};

const query = ${literal(state.query)};
const arms: Record<string, string[]> = {
  raw: [],
${arms.join('\n')}
};

const settings = defaultRetrievalSettings(${literal(settings)});
const search = new CorpusSearch(await openCorpus(${literal(pathOf(state, facts))}), settings);
for (const [arm, expansions] of Object.entries(arms)) {
  const found = await search.search(query, { kind: ${literal(retriever)}, expansions, top: 10 });
  console.log(arm, found.map(({ id, score }) => \`\${id} \${score.toFixed(4)}\`));
}
await search.close();
`;
}

function pathOf({ corpus }: TryState, { corpora }: TryFacts): string {
  return corpora.find(({ name }) => name === corpus)?.path ?? '';
}

/** A value that begins with a dash would be taken for an option. */
function optionOf(name: string, values: readonly string[]): string {
  const [value] = values;
  if (value === undefined) return name;
  return value.startsWith('-') ? `${name}=${quoted(value)}` : `${name} ${quoted(value)}`;
}

/** A word for a POSIX shell: nothing in single quotes has a meaning there. A terminal would act on control characters: they go. */
function quoted(word: string): string {
  if (/^[\w./:=@%+,-]+$/.test(word)) return word;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the expression looks for control characters
  return `'${word.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, ' ').replaceAll("'", `'\\''`)}'`;
}

/** JSON is TypeScript, but for two line ends that old parsers do not accept in texts. */
function literal(value: unknown): string {
  return JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}

function indented(texts: readonly string[]): string {
  return texts.length === 0 ? '[]' : `[\n${texts.map((text) => `    ${literal(text)},\n`).join('')}  ]`;
}
