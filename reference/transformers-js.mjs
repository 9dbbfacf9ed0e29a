/*
 * Loads an exported encoder with transformers.js and compares its vectors with those of this program.
 *
 *     npm run build && npm install --no-save @huggingface/transformers
 *     node dist/cli/main.js models export --base ENCODER --to transformers.js --out web
 *     node reference/transformers-js.mjs web ENCODER TEXTS.jsonl
 *
 * TEXTS.jsonl has a `text` on each line, as a corpus in BEIR's layout; the first hundred are encoded as documents, those
 * that are too long for the encoder aside. The packages may be in
 * another folder, which the variable PACKAGES names.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { loadEncoder } from '../dist/embed/index.js';
import { ModelStore } from '../dist/models/index.js';

const [folder, name, file] = process.argv.slice(2);
const packages = createRequire(join(resolve(process.env.PACKAGES ?? '.'), 'package.json'));
const { env, pipeline } = await import(pathToFileURL(packages.resolve('@huggingface/transformers')));
env.allowRemoteModels = false;
env.localModelPath = dirname(resolve(folder));

const encoder = await loadEncoder(await new ModelStore({ offline: true }).resolve(name, { kind: 'encoder' }));
const lines = (await readFile(file, 'utf8')).trim().split('\n').slice(0, 100);
const texts = lines.map((line) => JSON.parse(line).text);
const cut = new Set();
const ours = await encoder.encode(texts, 'document', { onCut: (at) => cut.add(at) });
const { dimensions: size, settings } = encoder;
for (const dtype of ['fp32', 'q8']) {
  const extract = await pipeline('feature-extraction', basename(folder), { dtype });
  const cosines = [];
  let farthest = 0;
  for (const [row, text] of texts.entries()) {
    // transformers.js cuts a long text without its last token, [SEP].
    if (cut.has(row)) continue;
    const options = { pooling: settings.pooling, normalize: settings.normalized };
    const { data } = await extract(settings.documentPrefix + text, options);
    const wanted = ours.subarray(row * size, (row + 1) * size);
    const product = wanted.reduce((sum, value, at) => sum + value * data[at], 0);
    cosines.push(product / Math.hypot(...wanted) / Math.hypot(...data));
    farthest = Math.max(farthest, ...wanted.map((value, at) => Math.abs(value - data[at])));
  }
  const mean = cosines.reduce((sum, one) => sum + one) / cosines.length;
  console.log(
    dtype,
    `${cosines.length} texts, largest difference ${farthest}, cosine: mean ${mean}, least ${Math.min(...cosines)}`,
  );
}
await encoder.close();
