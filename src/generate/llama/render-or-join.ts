import { ModelError } from '../../system/index.ts';
import type { ChatMessage } from '../generator.ts';

/**
 * Renders messages by a chat template. Some templates (Gemma's) refuse a system message: its text is then put before the user's
 * message that follows it.
 *
 * @throws ModelError if the template refuses the messages with and without it
 */
export function renderOrJoin(messages: ChatMessage[], render: (messages: ChatMessage[]) => string): string {
  try {
    return render(messages);
  } catch (error) {
    if (!(error instanceof ModelError) || messages[0]?.role !== 'system') throw error;
    return render(joinSystem(messages));
  }
}

function joinSystem([system, first, ...others]: ChatMessage[]): ChatMessage[] {
  if (first?.role !== 'user') return [{ role: 'user', content: system!.content }, ...(first ? [first] : []), ...others];
  return [{ role: 'user', content: `${system!.content}\n\n${first.content}` }, ...others];
}
