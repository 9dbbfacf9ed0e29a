import { spawn } from 'node:child_process';

/** The programs that open an address in the reader's browser. */
const OPENERS: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
  darwin: ['open'],
  // The first quoted word would be the title of a window.
  win32: ['cmd', '/c', 'start', '""'],
};

/**
 * Opens an address in the default browser, if there is a person at a terminal with a display. It never fails: the address was
 * printed as well.
 */
export function openBrowser(url: string): void {
  const hasDisplay = process.platform === 'darwin' || process.platform === 'win32' || hasLinuxDisplay();
  if (!process.stderr.isTTY || !hasDisplay) return;
  const [program, ...words] = OPENERS[process.platform] ?? ['xdg-open'];
  const child = spawn(program, [...words, url], { stdio: 'ignore', detached: true });
  child.on('error', () => {});
  child.unref();
}

function hasLinuxDisplay(): boolean {
  return Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}
