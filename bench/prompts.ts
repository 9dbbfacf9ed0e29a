import { PROMPTS } from '../src/generate/index.ts';
import { ggufChatTemplate, openCheckpoint } from '../src/models/index.ts';

/** q2d prompts as our side sends them to the model: rendered by the model's own chat template. */
export async function renderPrompts(path: string, groups: readonly (readonly string[])[]): Promise<string[][]> {
  const checkpoint = await openCheckpoint(path);
  const template = ggufChatTemplate(checkpoint)!;
  await checkpoint.close();
  return groups.map((questions) =>
    questions.map((query) => template.renderPrompt(PROMPTS.q2d.messages({ id: '', query }))),
  );
}
