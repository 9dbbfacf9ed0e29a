import { searchVectors } from './search.js';
import { AutoModel, AutoTokenizer, env } from './vendor/transformers.js';

// Everything comes from this folder: no other host is asked.
env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = new URL('.', import.meta.url).pathname;
env.useBrowserCache = false;
env.useWasmCache = false;
const { wasm } = env.backends.onnx;
const vendored = (name) => new URL(`vendor/${name}`, import.meta.url).href;
wasm.wasmPaths = { mjs: vendored('ort-wasm-simd-threaded.js'), wasm: vendored('ort-wasm-simd-threaded.wasm') };
// Several threads need headers (cross-origin isolation) that a plain file server does not send.
wasm.numThreads = 1;

const HITS = 10;
const element = (id) => document.getElementById(id);

const student = await openStudent().catch((error) => {
  element('state').textContent = `Cannot load: ${error.message}`;
  throw error;
});
showPage(student);
globalThis.student = student;

/** Loads encoder, documents and their vectors. */
async function openStudent() {
  const started = performance.now();
  const [about, documents, numbers, scales] = await Promise.all([
    load('about.json').then((answer) => answer.json()),
    load('documents.json').then((answer) => answer.json()),
    load('vectors.i8').then(async (answer) => new Int8Array(await answer.arrayBuffer())),
    load('scales.f32').then(async (answer) => new Float32Array(await answer.arrayBuffer())),
  ]);
  const tokenizer = await AutoTokenizer.from_pretrained(about.model);
  const model = await AutoModel.from_pretrained(about.model, { dtype: 'q8', device: 'wasm' });
  const vectors = { numbers, scales };

  /** Returns the vector of a query. // [dimensions] */
  async function embed(query) {
    const tokens = tokenizer(about.queryPrefix + query, { truncation: true });
    const { sentence_embedding: embedding } = await model(tokens);
    return embedding.data;
  }

  /** Returns the best documents, and the milliseconds of both parts. */
  async function search(query, count = HITS) {
    const begun = performance.now();
    const vector = await embed(query);
    const embedded = performance.now();
    const hits = searchVectors(vector, vectors, count).map(({ row, score }) => ({ ...documents[row], score }));
    return { hits, embedMs: embedded - begun, searchMs: performance.now() - embedded };
  }

  // The first query prepares the runtime.
  await embed('warm');
  return { about, embed, search, loadMs: performance.now() - started };
}

async function load(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name}: status ${answer.status}`);
  return answer;
}

function showPage({ about, search, loadMs }) {
  const megabytes = (about.bytes.total / 1e6).toFixed(1);
  element('state').textContent =
    `Ready in ${(loadMs / 1000).toFixed(1)} s. No server searches: your queries stay here.`;
  element('about').textContent =
    `${about.documents.toLocaleString('en')} documents, ${about.dimensions} numbers each; encoder ${about.encoder} in 8 bits; ${megabytes} MB in all.`;
  const input = element('query');
  let latest = 0;
  const run = async () => {
    const query = input.value.trim();
    if (query === '') return;
    const turn = ++latest;
    const found = await search(query);
    // A later query is already on its way.
    if (turn === latest) showHits(found);
  };
  for (const query of about.examples) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = query;
    button.addEventListener('click', () => {
      input.value = query;
      void run();
    });
    element('examples').append(button);
  }
  element('form').addEventListener('submit', (event) => {
    event.preventDefault();
    void run();
  });
  for (const control of document.querySelectorAll(':disabled')) control.disabled = false;
  input.focus();
}

function showHits({ hits, embedMs, searchMs }) {
  element('times').textContent = `Embedded in ${embedMs.toFixed(1)} ms, searched in ${searchMs.toFixed(1)} ms.`;
  element('hits').replaceChildren(...hits.map(hitCard));
}

function hitCard({ title, text, score }) {
  const card = document.createElement('li');
  const body = document.createElement('div');
  // Texts are untrusted: they are set as text, never as markup.
  if (title) body.append(paragraph('title', title));
  body.append(paragraph('text', text));
  card.append(body, paragraph('score', score.toFixed(3)));
  return card;
}

function paragraph(name, text) {
  const made = document.createElement('p');
  made.className = name;
  made.textContent = text;
  return made;
}
