import { signal } from '@preact/signals';

/** What the address says: the screen, the rest of its path, and its parameters. */
export interface Place {
  /** The first part of the path; empty for `/`. */
  screen: string;
  /** The parts behind it, decoded. */
  rest: string[];
  params: URLSearchParams;
}

/** The place that is shown; a screen that reads it is drawn again when it changes. */
export const place = signal(readPlace());

/** Goes to an address of the studio. @param replace whether Back skips the present one, as for a slider */
export function goTo(address: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
  place.value = readPlace();
}

/** Changes parameters of the address and keeps the others; undefined and '' remove one. What a screen shows can thus be linked to. */
export function setParams(
  changes: Record<string, string | number | undefined>,
  options: { replace?: boolean } = {},
): void {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === '') url.searchParams.delete(name);
    else url.searchParams.set(name, `${value}`);
  }
  goTo(`${url.pathname}${url.search}`, options);
}

/** Follows links to the studio's own screens without loading the page again. */
export function followLinks(): () => void {
  const onClick = (event: MouseEvent) => {
    const link = (event.target as Element | null)?.closest('a');
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (link.pathname.startsWith('/api/') || link.hash !== '') return;
    event.preventDefault();
    goTo(link.pathname + link.search);
  };
  const onBack = () => {
    place.value = readPlace();
  };
  addEventListener('click', onClick);
  addEventListener('popstate', onBack);
  return () => {
    removeEventListener('click', onClick);
    removeEventListener('popstate', onBack);
  };
}

function readPlace(): Place {
  const { pathname, searchParams } = new URL(location.href);
  const [screen = '', ...rest] = pathname.split('/').filter(Boolean).map(decoded);
  return { screen, rest, params: searchParams };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
