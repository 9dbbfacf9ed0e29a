import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError, makeFolder, systemFault, writeDurably } from '../../system/index.ts';
import { ENCODERS } from '../formats/element-encoders.ts';
import { readModelJson } from '../formats/model-text-file.ts';
import { type SafetensorsType, type StreamedTensor, writeModelSafetensors } from '../formats/safetensors-writer.ts';
import { elementCount } from '../formats/tensor-file.ts';
import { type ExportOptions, type ExportSource, withSource, writingTask } from './export-source.ts';
import { hfConfigOfGguf } from './gguf-as-hf.ts';
import { writeNotedFolder } from './noted-folder.ts';
import { hfTokenizerFiles } from './tokenizer-of-gguf.ts';
import { writeFolder } from './whole-folder.ts';

/** The element types of an export, by their Transformers names. */
export const EXPORT_DTYPES = ['float32', 'float16', 'bfloat16'] as const;
export type ExportDtype = (typeof EXPORT_DTYPES)[number];

const TYPES: Readonly<Record<ExportDtype, SafetensorsType>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

/**
 * Writes a model as a Transformers folder, with the adapter merged in, if there is one: weights in safetensors (sharded
 * if they are large), config.json and the tokenizer. Both are copied, or converted from a GGUF base's metadata. One
 * tensor at a time is in memory. The folder appears only when it is complete.
 * @param out a new or empty folder, or one that this function wrote from the same inputs, if `madeFrom` names them
 * @returns whether the folder was written; false if it was complete
 * @throws OtherSettingsError if the folder was made from something else; ModelError, UsageError, ResourceError, AbortedError
 */
export async function exportSafetensors(
  out: string,
  options: ExportOptions & { dtype?: ExportDtype | undefined; maxShardBytes?: number | undefined },
): Promise<boolean> {
  const { dtype = 'float32', maxShardBytes, madeFrom } = options;
  return withSource(options, async (source) => {
    const tensors = streamed(source, TYPES[dtype]);
    const bytes = tensors.reduce((sum, { shape }) => sum + elementCount(shape)! * ENCODERS[TYPES[dtype]].blockBytes, 0);
    const fill = async (fresh: string) => {
      await (source.gguf === undefined ? copySettings(source.folder, fresh) : makeSettings(source, fresh));
      await writeConfig(source, fresh, dtype);
      const { onTensor, done } = writingTask(options, bytes);
      await writeModelSafetensors(fresh, tensors, { maxShardBytes, signal: options.signal, onTensor });
      done();
    };
    // Without hashes of its inputs, a folder cannot be recognised.
    if (madeFrom !== undefined) return writeNotedFolder(out, { ...madeFrom, dtype, maxShardBytes }, fill);
    await writeFolder(out, [], fill);
    return true;
  });
}

function streamed({ checkpoint }: ExportSource, dtype: SafetensorsType): StreamedTensor[] {
  return checkpoint.tensors().map(({ name, shape }) => ({ name, shape, dtype, read: () => checkpoint.read(name) }));
}

async function writeConfig(source: ExportSource, fresh: string, dtype: ExportDtype): Promise<void> {
  const config =
    source.gguf === undefined ? await readConfig(source.folder) : { ...(await hfConfigOfGguf(source.gguf)) };
  // Transformers 5 writes `dtype`, 4 `torch_dtype`; both read the latter.
  const stated = { ...config, ['dtype' in config ? 'dtype' : 'torch_dtype']: dtype };
  await writeDurably(join(fresh, 'config.json'), `${JSON.stringify(stated, null, 2)}\n`);
}

async function readConfig(folder: string): Promise<Record<string, unknown>> {
  const file = join(folder, 'config.json');
  const config = await readModelJson(file);
  if (typeof config === 'object' && config !== null) return config as Record<string, unknown>;
  throw new ModelError('is not a JSON object', { file, fix: 'Download the file again.' });
}

/** Settings and tokenizers, but no weights of any format. */
const SETTINGS = /(\.(json|txt|model|jinja|tiktoken)|^LICEN[CS]E.*)$/;
const NOT_COPIED = /^config\.json$|\.index\.json$|^adapter_config\.json$/;

/** Copies the folder's settings, and those of its modules (such as `1_Pooling` of sentence-transformers). */
async function copySettings(folder: string, fresh: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  const modules = entries.filter((entry) => entry.isDirectory() && /^\d+_/.test(entry.name)).map(({ name }) => name);
  for (const module of ['', ...modules]) {
    const names = (await readdir(join(folder, module))).filter((name) => SETTINGS.test(name));
    if (names.length > 0) await makeFolder(join(fresh, module));
    for (const name of names) {
      if (module === '' && NOT_COPIED.test(name)) continue;
      const source = join(folder, module, name);
      const content = await readFile(source).catch((error: unknown) => {
        throw systemFault(error, source);
      });
      await writeDurably(join(fresh, module, name), content);
    }
  }
}

async function makeSettings({ gguf }: ExportSource, fresh: string): Promise<void> {
  for (const [name, content] of hfTokenizerFiles(gguf!)) {
    await writeDurably(join(fresh, name), `${JSON.stringify(content, null, 1)}\n`);
  }
}
