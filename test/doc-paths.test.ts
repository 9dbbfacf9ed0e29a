import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const pages = [...readdirSync('docs').map((name) => join('docs', name)), 'README.md'].filter((name) =>
  /\.md$/.test(name),
);

/** Paths in the source that a page names, in text, links and code. */
function namedPaths(page: string): string[] {
  const text = readFileSync(page, 'utf8');
  return [...text.matchAll(/\bsrc\/[\w./-]*\w/g)].map(([path]) => path);
}

/** Links of a page to files of the checkout, without their anchors. */
function linkedFiles(page: string): string[] {
  const links = [...readFileSync(page, 'utf8').matchAll(/\]\(([^)\s#]+)[^)]*\)/g)].map(([, target]) => target!);
  return links.filter((target) => !/^[a-z]+:/.test(target)).map((target) => join(dirname(page), target));
}

describe.each(pages)('%s', (page) => {
  it('names only paths that exist', () => {
    expect(namedPaths(page).filter((path) => !existsSync(path))).toEqual([]);
  });

  it('links only to files that exist', () => {
    expect(linkedFiles(page).filter((path) => !existsSync(path))).toEqual([]);
  });
});
