export {
  type BertConfig,
  type BertEncoder,
  type BertEncoderOptions,
  bertConfigSchema,
  buildBertEncoder,
  type Pooling,
} from './architectures/bert.ts';
export { type CompiledModel, type CompileOptions, compileModel } from './compiled-model.ts';
export {
  type Dimension,
  type Dtype,
  Graph,
  type GraphNode,
  type Shape,
  type Tensor,
  type TensorData,
} from './graph.ts';
export { writeOnnxModel } from './onnx-model.ts';
export { type Parameter, Parameters } from './parameters.ts';
export { ProtobufWriter } from './protobuf.ts';
export { Runtime, type RuntimeOptions } from './runtime.ts';
export type { Value, Values } from './runtime-messages.ts';
export { type TensorSource, WeightPlan } from './weight-plan.ts';
