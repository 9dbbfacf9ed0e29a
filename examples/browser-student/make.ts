/**
 * Makes a page that searches documents with an encoder in the browser. Any server of files can hold the folder:
 *   npm run example -- browser-student/make web docs.jsonl runs/student
 *   npx http-server web
 * The last argument is an encoder: a student that `llm-qe train retriever --method distil` made, or any other of the BERT family.
 */
import { cp, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Document, documentText, exportTransformersJs, loadEncoder, ModelStore, openCorpus } from 'llm-qe';

/** More than this, and the page loads long. */
const MOST_DOCUMENTS = 5000;
const BATCH = 64;
/** What transformers.js reads of an exported encoder; the page uses the weights in 8 bits. */
const MODEL_FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx/model_quantized.onnx'];
const EXAMPLES = [
  'a stringed instrument',
  'someone who studies the stars',
  'fear of closed spaces',
  'where bread is baked',
];

const [out = 'web', corpus = 'runs/demo/wordnet', name = 'all-minilm-l6-v2'] = process.argv.slice(2);
const documents = await firstDocuments(corpus);
await mkdir(out, { recursive: true });
for (const file of ['index.html', 'style.css', 'page.js', 'search.js']) await cp(pageFile(file), join(out, file));
await copyRuntime(join(out, 'vendor'));
const model = await new ModelStore().resolve(name, { kind: 'encoder' });
await copyModel(join(out, 'model'));
const { dimensions, queryPrefix } = await writeVectors();
await writeFile(join(out, 'documents.json'), JSON.stringify(documents));
const bytes = { total: await bytesOf(out), model: await bytesOf(join(out, 'model')) };
const about = { encoder: model.name, model: 'model', documents: documents.length, dimensions, queryPrefix, bytes };
await writeFile(join(out, 'about.json'), JSON.stringify({ ...about, examples: EXAMPLES }));
console.log(`${out}: ${documents.length} documents, ${(bytes.total / 1e6).toFixed(1)} MB`);

async function firstDocuments(path: string): Promise<Pick<Document, 'id' | 'title' | 'text'>[]> {
  const first = [];
  for await (const { id, title, text } of (await openCorpus(path)).documents()) {
    first.push({ id, title, text });
    if (first.length === MOST_DOCUMENTS) break;
  }
  return first;
}

/** Files of the page, also when this file runs from `build`. */
function pageFile(file: string): string {
  return resolve('examples', 'browser-student', file);
}

/** transformers.js, and the smallest runtime that runs it: WebAssembly alone. */
async function copyRuntime(folder: string): Promise<void> {
  const own = createRequire(resolve('package.json'));
  const transformers = resolve(own.resolve('@huggingface/transformers'), '..');
  const runtime = resolve(createRequire(join(transformers, 'x.js')).resolve('onnxruntime-web'), '..');
  await mkdir(folder, { recursive: true });
  await cp(join(transformers, 'transformers.web.min.js'), join(folder, 'transformers.js'));
  await cp(join(runtime, 'ort.wasm.min.mjs'), join(folder, 'ort.js'));
  // Not every server of files knows the type of .mjs.
  await cp(join(runtime, 'ort-wasm-simd-threaded.mjs'), join(folder, 'ort-wasm-simd-threaded.js'));
  await cp(join(runtime, 'ort-wasm-simd-threaded.wasm'), join(folder, 'ort-wasm-simd-threaded.wasm'));
}

async function copyModel(folder: string): Promise<void> {
  const temporary = await mkdtemp(join(tmpdir(), 'browser-student-'));
  try {
    const written = await exportTransformersJs(join(temporary, 'model'), model);
    const queries = written.find(({ role }) => role !== 'document')!.folder;
    for (const file of MODEL_FILES) await cp(join(queries, file), join(folder, file));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Writes the documents' vectors in 8 bits: whole numbers from -127 to 127, and a scale for each document. */
async function writeVectors(): Promise<{ dimensions: number; queryPrefix: string }> {
  const encoder = await loadEncoder(model);
  const { dimensions, settings } = encoder;
  const numbers = new Int8Array(documents.length * dimensions);
  const scales = new Float32Array(documents.length);
  for (let start = 0; start < documents.length; start += BATCH) {
    const vectors = await encoder.encode(documents.slice(start, start + BATCH).map(documentText), 'document');
    for (let row = 0; row * dimensions < vectors.length; row++) {
      const vector = vectors.subarray(row * dimensions, (row + 1) * dimensions);
      const scale = vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
      scales[start + row] = scale;
      numbers.set(
        vector.map((value) => Math.round(value / (scale || 1))),
        (start + row) * dimensions,
      );
    }
  }
  await encoder.close();
  await writeFile(join(out, 'vectors.i8'), numbers);
  await writeFile(join(out, 'scales.f32'), scales);
  return { dimensions, queryPrefix: String(settings.queryPrefix ?? '') };
}

async function bytesOf(folder: string): Promise<number> {
  let sum = 0;
  for (const file of await readdir(folder, { recursive: true })) {
    const facts = await stat(join(folder, file));
    if (facts.isFile()) sum += facts.size;
  }
  return sum;
}
