export { type BertEncoder, type BertEncoderOptions, buildBertEncoder } from './architectures/bert.ts';
export { type BertConfig, bertConfigSchema } from './architectures/bert-config.ts';
export { type BertModelOptions, bertModel, bertVectors, packedVectors } from './architectures/bert-model.ts';
export { llamaLogits, llamaLogProbabilities, llamaModel } from './architectures/llama.ts';
export { type LlamaConfig, llamaConfigSchema } from './architectures/llama-config.ts';
export type { Pooling, PoolingOptions } from './architectures/pooling.ts';
export type { Block, BlockModel, Head } from './block-model.ts';
export { type CompiledModel, type CompileOptions, compileModel, GRAPH_CACHE } from './compiled-model.ts';
export { exportOnnx } from './export-onnx.ts';
export { exportStandardEncoder } from './export-standard-encoder.ts';
export { gradients, type Seed } from './gradients.ts';
export {
  type Dimension,
  type Dtype,
  Graph,
  type GraphNode,
  type Shape,
  type Tensor,
  type TensorData,
} from './graph.ts';
export { initialParameters } from './initial-parameters.ts';
export { ModelInThread } from './model-in-thread.ts';
export { writeOnnxModel } from './onnx-model.ts';
export * as operations from './operations/index.ts';
export { type Parameter, Parameters } from './parameters.ts';
export { peakBytes } from './peak-memory.ts';
export { Runtime, type RuntimeOptions, refuseWithoutRuntime } from './runtime.ts';
export { DEVICES, type Device, type Value, type Values } from './runtime-messages.ts';
export {
  type DropoutSeed,
  type StepMemory,
  type StepMode,
  type StepResult,
  stepMemory,
  type TextPlace,
  TrainingStep,
  type TrainingStepOptions,
} from './training-step.ts';
export { type LowRank, type PlanOptions, type TensorSource, WeightPlan } from './weight-plan.ts';
