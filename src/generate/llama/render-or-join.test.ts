import { expect, it } from 'vitest';
import { ModelError } from '../../system/index.ts';
import type { ChatMessage } from '../generator.ts';
import { renderOrJoin } from './render-or-join.ts';

const render = (messages: ChatMessage[]) => messages.map(({ role, content }) => `${role}: ${content}`).join('|');
const strict = (messages: ChatMessage[]) => {
  if (messages.some(({ role }) => role === 'system')) throw new ModelError('System role not supported', { fix: '' });
  return render(messages);
};
const messages: ChatMessage[] = [
  { role: 'system', content: 'Be short.' },
  { role: 'user', content: 'What is a saw?' },
  { role: 'assistant', content: 'Sure:' },
];

it('keeps a system message, or puts it before the question if the template refuses it', () => {
  expect(renderOrJoin(messages, render)).toBe('system: Be short.|user: What is a saw?|assistant: Sure:');
  expect(renderOrJoin(messages, strict)).toBe('user: Be short.\n\nWhat is a saw?|assistant: Sure:');
});

it('does not hide other faults', () => {
  const broken = () => {
    throw new ModelError('no', { fix: '' });
  };
  expect(() => renderOrJoin(messages, broken)).toThrow(ModelError);
  expect(() => renderOrJoin(messages.slice(1), broken)).toThrow(ModelError);
  const fault = () => {
    throw new RangeError('bug');
  };
  expect(() => renderOrJoin(messages, fault)).toThrow(RangeError);
});
