// Completes the page that tsc compiled into dist/studio/page: style sheet, icon, the libraries as plain ES modules with their
// licences, and the list of the modules that each screen needs. A browser finds modules by address, so names such as 'preact' become
// addresses relative to the file that imports them.
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const SOURCE = resolve('src/studio/page');
const PAGE = resolve('dist/studio/page');
const VENDOR = join(PAGE, 'vendor');
const MODULES = resolve('node_modules');

/** Libraries that are ES modules already. */
const PLAIN = {
  preact: 'preact/dist/preact.mjs',
  'preact/hooks': 'preact/hooks/dist/hooks.mjs',
  'preact/jsx-runtime': 'preact/jsx-runtime/dist/jsxRuntime.mjs',
  '@preact/signals-core': '@preact/signals-core/dist/signals-core.mjs',
  '@preact/signals': '@preact/signals/dist/signals.mjs',
};

const [D3, PLOT] = ['d3/dist/d3.min.js', '@observablehq/plot/dist/plot.umd.min.js'];

const read = (path) => readFileSync(join(MODULES, path), 'utf8');
const fileOf = (name) => join(VENDOR, `${name.replace('@', '').replaceAll('/', '-')}.js`);
const bare = [...Object.keys(PLAIN), 'd3', '@observablehq/plot', 'uplot'];

function linked(text, file) {
  const pattern = /(\bfrom\s*|\bimport\s*\(?\s*)(["'])([^"'.][^"']*)\2/g;
  return text.replace(pattern, (_whole, before, quote, name) => {
    if (!bare.includes(name)) throw new Error(`${file}: imports ${name}, which build-page.mjs does not vendor`);
    const address = relative(dirname(file), fileOf(name)).replaceAll('\\', '/');
    return `${before}${quote}${address.startsWith('.') ? address : `./${address}`}${quote}`;
  });
}

/** What the module in the older form (UMD) exports. @param needed the one library that it requires */
function exportsOf(path, needed) {
  const module = { exports: {} };
  new Function('module', 'exports', 'require', read(path))(module, module.exports, () => needed);
  return module.exports;
}

/**
 * Such a module as an ES module with the same names; its variables have others, since d3 has a `window` that would hide the browser's.
 * @param needs the name of the library that it requires
 */
function wrapped(path, exported, needs) {
  const names = Object.keys(exported).filter((one) => one !== 'default');
  return `${needs === undefined ? '' : `import * as needed from './${needs}.js';\n`}const module = { exports: {} };
((module, exports, require) => {
${read(path)}
})(module, module.exports, () => ${needs === undefined ? 'undefined' : 'needed'});
const { ${names.map((one) => `${one}: $${one}`).join(', ')} } = module.exports;
export { ${names.map((one) => `$${one} as ${one}`).join(', ')} };
`;
}

mkdirSync(VENDOR, { recursive: true });
for (const name of ['index.html', 'theme.js', 'icon.svg']) copyFileSync(join(SOURCE, name), join(PAGE, name));
const style = readFileSync(join(SOURCE, 'style.css'), 'utf8');
writeFileSync(join(PAGE, 'style.css'), `${style}\n/* uPlot */\n${read('uplot/dist/uPlot.min.css')}`);
for (const [name, path] of Object.entries(PLAIN)) {
  const text = read(path).replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
  writeFileSync(fileOf(name), linked(text, fileOf(name)));
}
const d3 = exportsOf(D3, undefined);
writeFileSync(fileOf('d3'), wrapped(D3, d3, undefined));
writeFileSync(fileOf('@observablehq/plot'), wrapped(PLOT, exportsOf(PLOT, d3), 'd3'));
writeFileSync(fileOf('uplot'), `${read('uplot/dist/uPlot.iife.min.js')}\nexport default uPlot;\n`);
for (const name of ['preact', '@preact/signals', '@preact/signals-core', 'd3', '@observablehq/plot', 'uplot']) {
  cpSync(join(MODULES, name, 'LICENSE'), fileOf(name).replace(/\.js$/, '.LICENSE.txt'));
}

for (const entry of readdirSync(PAGE, { recursive: true, withFileTypes: true })) {
  const file = join(entry.parentPath, entry.name);
  if (
    !entry.isFile() ||
    !file.endsWith('.js') ||
    file.startsWith(VENDOR) ||
    existsSync(join(SOURCE, relative(PAGE, file)))
  )
    continue;
  writeFileSync(file, linked(readFileSync(file, 'utf8'), file));
}

/** The modules that a module imports, and those that they import, in the order in which they are met. */
function neededBy(file, met = new Set()) {
  met.add(file);
  const text = readFileSync(join(PAGE, file), 'utf8');
  // What is called, `import(...)`, is loaded when it is called for.
  for (const [, name] of text.matchAll(/\b(?:import|export)\s*(?:[\w$*{},\s]+from\s*)?["'](\.[^"']+)["']/g)) {
    const needed = join(dirname(file), name).replaceAll('\\', '/');
    if (!met.has(needed)) neededBy(needed, met);
  }
  return met;
}

// A browser would learn of each module from the one that imports it, one round trip after another.
const SCREENS = 'shell/screens.js';
const screens = [
  ...readFileSync(join(PAGE, SCREENS), 'utf8').matchAll(/import\(["']\.\.\/(screens\/(\w+)\.js)["']\)/g),
];
if (screens.length === 0) throw new Error(`${SCREENS}: imports no screen`);
const needs = Object.fromEntries(screens.map(([, file, id]) => [id, [...neededBy(file, neededBy('main.js'))]]));
writeFileSync(join(PAGE, 'needs.json'), JSON.stringify(needs));
