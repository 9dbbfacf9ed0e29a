import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Dialog } from '../components/dialog.tsx';
import { Notice } from '../components/notice.tsx';
import { followLinks, goTo, place } from './place.ts';
import { Running } from './running.tsx';
import { SCREENS, type Screen } from './screens.ts';
import { ShortcutList } from './shortcut-list.tsx';
import { listenToKeys, useShortcuts } from './shortcuts.ts';
import { nextTheme, theme } from './theme.ts';

/** The frame of all screens: skip link, header with navigation, the screen, and what is going on. */
export function App() {
  const [isHelpOpen, setHelpOpen] = useState(false);
  useEffect(followLinks, []);
  useEffect(listenToKeys, []);
  useShortcuts([
    { keys: '?', what: 'show the shortcuts', run: () => setHelpOpen(true) },
    ...SCREENS.map(({ id, label, key }) => ({ keys: `g ${key}`, what: `go to ${label}`, run: () => goTo(`/${id}`) })),
  ]);
  const screen = findScreen(place.value.screen);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="/">
          llm-qe <span>studio</span>
        </a>
        <nav aria-label="Screens">
          {SCREENS.map(({ id, label }) => (
            <a key={id} href={`/${id}`} aria-current={id === screen?.id ? 'page' : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <div class="tools">
          <button
            type="button"
            class="quiet"
            onClick={nextTheme}
            aria-label={`${THEME_LABELS[theme.value]} theme; change it`}
          >
            {THEME_LABELS[theme.value]}
          </button>
          <button type="button" class="quiet" onClick={() => setHelpOpen(true)} aria-label="Keyboard shortcuts">
            ?
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {screen === undefined ? <Nowhere /> : <Shown key={screen.id} screen={screen} />}
      </main>
      <Running />
      <Dialog title="Keyboard shortcuts" open={isHelpOpen} onClose={() => setHelpOpen(false)}>
        <ShortcutList />
      </Dialog>
    </>
  );
}

const THEME_LABELS = { system: 'Auto', light: 'Light', dark: 'Dark' } as const;
/** Whether a screen was shown before: then the reader navigated, and the focus goes to the new one. */
let hasShown = false;

/** A screen, once its module is there. Its heading is focused, so that a screen reader says where the reader now is. */
function Shown({ screen }: { screen: Screen }) {
  const [Loaded, setLoaded] = useState<ComponentType>();
  const [fault, setFault] = useState<unknown>();
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    document.title = `${screen.label} – llm-qe studio`;
    // A function in a state would be called: hence the arrow.
    screen.load().then(({ default: component }) => setLoaded(() => component), setFault);
  }, []);
  useEffect(() => {
    if (Loaded === undefined) return;
    const heading = frame.current?.querySelector('h1');
    heading?.setAttribute('tabindex', '-1');
    if (hasShown) heading?.focus();
    hasShown = true;
  }, [Loaded]);
  if (fault !== undefined) {
    return (
      <Notice
        error={new Error('this screen could not be loaded')}
        fix="Reload the page: the studio was updated or has ended."
      />
    );
  }
  return <div ref={frame}>{Loaded && <Loaded />}</div>;
}

function Nowhere() {
  return (
    <>
      <h1>There is no such screen</h1>
      <p>
        Go to <a href="/">the first screen</a>.
      </p>
    </>
  );
}

function findScreen(id: string): Screen | undefined {
  return id === '' ? SCREENS[0] : SCREENS.find((one) => one.id === id);
}
