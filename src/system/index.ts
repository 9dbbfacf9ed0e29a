export * from './durable-file.ts';
export * from './errors.ts';
export * from './hash.ts';
export * from './places.ts';
export * from './progress.ts';
export * from './random.ts';
export * from './worker-file.ts';
