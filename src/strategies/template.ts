import type { Example, Strategy, StrategySettings } from './strategy.ts';

/**
 * Returns the prompts of a strategy with names in braces where a query, documents and earlier texts stand. It is made by the functions
 * that make the prompts, so a manifest records what is really asked.
 */
export function templateOf(
  { steps }: Strategy,
  { settings, variant, examples }: { settings: StrategySettings; variant: string; examples: readonly Example[] },
): string {
  const texts: string[][] = [];
  const prompts: string[] = [];
  for (const step of steps) {
    const input = { query: '{query}', passages: ['{passages}'], texts, examples, variant };
    const count = step.texts(settings);
    for (let at = 0; at < count; at++) {
      const { messages } = step.promptFor(input, at, settings);
      prompts.push(messages.map(({ role, content }) => `${role}: ${content}`).join('\n'));
    }
    texts.push(Array.from({ length: count }, () => `{${step.name}}`));
  }
  return [...new Set(prompts)].join('\n\n');
}
