import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

/** What the reader chose; plots draw again when it changes. */
export const theme = signal<Theme>((document.documentElement.dataset.theme as Theme | undefined) ?? 'system');

const NEXT: Record<Theme, Theme> = { system: 'dark', dark: 'light', light: 'system' };

export function nextTheme(): void {
  theme.value = NEXT[theme.value];
  if (theme.value === 'system') {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem('theme');
  } else {
    document.documentElement.dataset.theme = theme.value;
    localStorage.setItem('theme', theme.value);
  }
}
