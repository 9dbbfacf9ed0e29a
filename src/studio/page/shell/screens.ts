import type { ComponentType } from 'preact';

/** A screen: its address, its name, its key (after `g`), and its module, which is loaded when it is first shown. */
export interface Screen {
  id: string;
  label: string;
  key: string;
  load: () => Promise<{ default: ComponentType }>;
}

/** In the order of the navigation; `/` shows the first. */
export const SCREENS: readonly Screen[] = [
  { id: 'try', label: 'Try', key: 't', load: () => import('../screens/try.tsx') },
  { id: 'runs', label: 'Runs', key: 'r', load: () => import('../screens/runs.tsx') },
  { id: 'queries', label: 'Queries', key: 'q', load: () => import('../screens/queries.tsx') },
  { id: 'judge', label: 'Judge', key: 'j', load: () => import('../screens/judge.tsx') },
];
