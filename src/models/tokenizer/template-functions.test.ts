import { describe, expect, test } from 'vitest';
import { ChatTemplate } from './chat-template.ts';

const render = (expression: string, content: string) =>
  new ChatTemplate(`{% for message in messages %}{{ ${expression} }}{% endfor %}`, {}).render(
    [{ role: 'user', content }],
    { addGenerationPrompt: false },
  );

describe("strip in a template accepts Python's arguments", () => {
  test.each([
    ["message['content'].lstrip('\\n')", '\n\n  a \n', '  a \n'],
    ["message['content'].rstrip('\\n')", '\n a \n\n', '\n a '],
    ["message.content.strip('xy')", 'xyaxbyx', 'axb'],
    ["message['content'].split('|')[-1].lstrip('\\n').rstrip(' ')", 'a|\n b ', ' b'],
    ["message['content'].strip('a')", 'aaa', ''],
    ["message['content'].strip()", ' \n a \n', 'a'],
    ["message['content'].lstrip()", ' \n a \n', 'a \n'],
  ])('%s of %j', (expression, content, expected) => {
    expect(render(expression, content)).toBe(expected);
  });
});
