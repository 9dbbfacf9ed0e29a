import { ProtobufWriter } from '../system/index.ts';
import { type Attribute, DTYPES, type Graph, type GraphNode, type Tensor, type TensorData } from './graph.ts';
import { END } from './runtime-messages.ts';

/** Where a weight's bytes are in the file of weights. */
export interface WeightPlace {
  offset: number;
  bytes: number;
}

const IR_VERSION = 10;
const OPSETS = { '': 21, 'com.microsoft': 1 };

/** AttributeProto.AttributeType */
const ATTRIBUTE_TYPE = { float: 1, integer: 2, text: 3, graph: 5, integers: 7 };

/**
 * Writes a graph as an ONNX model (onnx.proto, ModelProto) with its weights as external data. The runtime maps that
 * file into memory, so all sessions share one copy.
 *
 * @param weightFile the name of the file of weights, relative to the model's folder
 */
export function writeOnnxModel(graph: Graph, weightFile: string, places: ReadonlyMap<string, WeightPlace>): Uint8Array {
  return modelMessage(graph, (tensor) => weightMessage(tensor, weightFile, places.get(tensor.name)!));
}

/** The same as one file, which contains its weights. Protocol Buffers limit it to 2 GiB. */
export function writeWholeOnnxModel(graph: Graph, weights: ReadonlyMap<string, TensorData>): Uint8Array {
  return modelMessage(graph, (tensor) => constantMessage(tensor, weights.get(tensor.name)!));
}

/** ModelProto */
function modelMessage(graph: Graph, weight: (tensor: Tensor) => ProtobufWriter): Uint8Array {
  const model = new ProtobufWriter().integer(1, IR_VERSION).bytes(2, 'llm-qe').bytes(7, graphMessage(graph, weight));
  for (const [domain, version] of Object.entries(OPSETS)) {
    model.bytes(8, new ProtobufWriter().bytes(1, domain).integer(2, version));
  }
  return model.finish();
}

/** GraphProto */
function graphMessage(graph: Graph, weight?: (tensor: Tensor) => ProtobufWriter): ProtobufWriter {
  const message = new ProtobufWriter();
  if (graph.fillsResults) message.bytes(1, new ProtobufWriter().bytes(2, END).bytes(3, END).bytes(4, 'SequenceEmpty'));
  for (const node of graph.nodes) message.bytes(1, nodeMessage(node));
  message.bytes(2, 'graph');
  for (const [tensor, data] of graph.constants) message.bytes(5, constantMessage(tensor, data));
  if (weight !== undefined) for (const tensor of graph.weights.values()) message.bytes(5, weight(tensor));
  for (const tensor of graph.inputs) message.bytes(11, valueMessage(tensor));
  if (graph.fillsResults) message.bytes(12, endMessage());
  for (const tensor of graph.outputs) message.bytes(12, valueMessage(tensor));
  return message;
}

/** NodeProto */
function nodeMessage(node: GraphNode): ProtobufWriter {
  const message = new ProtobufWriter();
  for (const input of node.inputs) message.bytes(1, input?.name ?? '');
  for (const output of node.outputs) message.bytes(2, output.name);
  message.bytes(3, node.name).bytes(4, node.operator);
  for (const [name, value] of Object.entries(node.attributes)) message.bytes(5, attributeMessage(name, value));
  return message.bytes(7, node.domain);
}

/** AttributeProto */
function attributeMessage(name: string, value: Attribute): ProtobufWriter {
  const message = new ProtobufWriter().bytes(1, name);
  if (typeof value === 'number') return message.integer(3, value).integer(20, ATTRIBUTE_TYPE.integer);
  if (typeof value === 'string') return message.bytes(4, value).integer(20, ATTRIBUTE_TYPE.text);
  if ('float' in value) return message.float(2, value.float).integer(20, ATTRIBUTE_TYPE.float);
  if ('body' in value) return message.bytes(6, graphMessage(value.body)).integer(20, ATTRIBUTE_TYPE.graph);
  for (const item of value) message.integer(8, item);
  return message.integer(20, ATTRIBUTE_TYPE.integers);
}

/** TensorProto that contains its bytes */
function constantMessage(tensor: Tensor, data: TensorData): ProtobufWriter {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return tensorHead(tensor).bytes(9, bytes);
}

/** TensorProto with its bytes in another file */
function weightMessage(tensor: Tensor, file: string, place: WeightPlace): ProtobufWriter {
  const message = tensorHead(tensor);
  for (const [key, value] of Object.entries({ location: file, offset: place.offset, length: place.bytes })) {
    message.bytes(13, new ProtobufWriter().bytes(1, key).bytes(2, String(value)));
  }
  return message.integer(14, 1);
}

function tensorHead(tensor: Tensor): ProtobufWriter {
  const message = new ProtobufWriter();
  for (const dimension of tensor.shape) message.integer(1, Number(dimension));
  return message.integer(2, DTYPES[tensor.dtype]).bytes(8, tensor.name);
}

/** ValueInfoProto */
function valueMessage(tensor: Tensor): ProtobufWriter {
  const shape = new ProtobufWriter();
  for (const dimension of tensor.shape) {
    const size = new ProtobufWriter();
    shape.bytes(1, typeof dimension === 'number' ? size.integer(1, dimension) : size.bytes(2, dimension));
  }
  const type = new ProtobufWriter().integer(1, DTYPES[tensor.dtype]).bytes(2, shape);
  return new ProtobufWriter().bytes(1, tensor.name).bytes(2, new ProtobufWriter().bytes(1, type));
}

/** ValueInfoProto of a list of tensors */
function endMessage(): ProtobufWriter {
  const element = new ProtobufWriter().bytes(1, new ProtobufWriter().integer(1, DTYPES.float32));
  const list = new ProtobufWriter().bytes(4, new ProtobufWriter().bytes(1, element));
  return new ProtobufWriter().bytes(1, END).bytes(2, list);
}
