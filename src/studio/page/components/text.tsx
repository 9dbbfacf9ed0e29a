/** Control characters, and those that turn the direction of what follows, become a visible mark. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression looks for control characters
const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Shows a text of a query, a document or a model as text, whatever it holds, in its own direction of writing. */
export function Text({ value, lines }: { value: string; lines?: number | undefined }) {
  return (
    <span
      class={lines === undefined ? 'text' : 'text clamp'}
      dir="auto"
      style={lines === undefined ? undefined : { '--lines': lines }}
    >
      {visible(value)}
    </span>
  );
}

export function visible(text: string): string {
  return text.replace(UNSEEN, '\ufffd');
}
