/** Text that is known to be HTML. All other text is escaped when it is inserted. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = Markup | string | number | readonly Part[] | undefined;

/** Template tag: literal parts are HTML; values are escaped unless they are {@link Markup}. */
export function html(literals: TemplateStringsArray, ...values: Part[]): Markup {
  let text = literals[0]!;
  values.forEach((value, index) => {
    text += render(value) + literals[index + 1]!;
  });
  return new Markup(text);
}

function render(part: Part): string {
  if (part === undefined) return '';
  if (part instanceof Markup) return part.text;
  if (typeof part === 'object') return part.map(render).join('');
  return escapeHtml(String(part));
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/**
 * Escapes text for HTML content and quoted attributes. Control characters that HTML forbids, and those that change the
 * direction of text, become a visible mark.
 */
export function escapeHtml(text: string): string {
  return (
    text
      .replace(/[&<>"']/g, (character) => ENTITIES[character]!)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the expression looks for control characters
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
  );
}
