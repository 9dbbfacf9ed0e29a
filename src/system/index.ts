export { type DownloadOptions, download } from './download.ts';
export * from './durable-file.ts';
export * from './errors.ts';
export { type FileLockOptions, withFileLock } from './file-lock.ts';
export * from './hash.ts';
export {
  address,
  ConnectionError,
  HttpError,
  httpError,
  type RequestOptions,
  type RetryOptions,
  request,
  withRetries,
} from './http.ts';
export * from './places.ts';
export * from './progress.ts';
export * from './random.ts';
export * from './worker-file.ts';
export { type UnpackOptions, unpackZip } from './zip.ts';
