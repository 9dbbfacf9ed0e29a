// Runs before the first paint, so that a page in the other theme does not flash. `shell/theme.ts` writes the choice.
const chosen = localStorage.getItem('theme');
if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
