import { ModelError, throwIfAborted, writeDurably } from '../system/index.ts';
import { type BertEncoderOptions, buildStandardBertEncoder } from './architectures/bert.ts';
import type { BertConfig } from './architectures/bert-config.ts';
import type { TensorData } from './graph.ts';
import { writeWholeOnnxModel } from './onnx-model.ts';
import { bytesOf } from './peak-memory.ts';
import type { TensorSource } from './weight-plan.ts';

/** What a file may hold, with room for the graph: Protocol Buffers end at 2 GiB. */
const MOST_BYTES = 2 ** 31 - 2 ** 20;

/**
 * Writes an encoder of the BERT family as one ONNX file of standard operators, for ONNX Runtime in browsers and elsewhere: `input_ids`
 * and `attention_mask`, both int64 // [batch, sequence], padding right → `last_hidden_state` // [batch, sequence, hidden] and
 * `sentence_embedding` // [batch, hidden], pooled, mapped and normalised as the options say.
 *
 * With `int8`, products with weights use bytes: weights signed, with a scale per output; activations unsigned, by their range over the
 * batch. The table of words is of bytes, too, with a scale per word.
 * @throws ModelError if a tensor is missing or misshaped, or the weights do not fit into one file
 */
export async function exportStandardEncoder(
  file: string,
  source: TensorSource,
  config: BertConfig,
  { signal, ...options }: BertEncoderOptions & { signal?: AbortSignal | undefined },
): Promise<void> {
  const { graph, weights } = buildStandardBertEncoder(source, config, options);
  const bytes = [...graph.weights.values()].reduce((sum, weight) => sum + bytesOf(weight, {}), 0);
  if (bytes > MOST_BYTES) {
    throw new ModelError(`the weights have ${bytes} bytes, but one ONNX file holds less than 2 GiB`, {
      file,
      fix: 'Use a smaller encoder, or `--to onnx`, which keeps the weights in a file of their own.',
    });
  }
  const data = new Map<string, TensorData>();
  for (const [name, load] of weights.loaders) {
    throwIfAborted(signal);
    data.set(name, await load());
  }
  await writeDurably(file, writeWholeOnnxModel(graph, data));
}
