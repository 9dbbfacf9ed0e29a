export { endBoundChild, spawnBound } from './bound-child.ts';
export { type CacheEntry, type CleanOptions, cleanCache, listCache } from './cache-entries.ts';
export { CacheKind, type CacheKindSettings } from './cache-kind.ts';
export { takeCredentials } from './credentials.ts';
export { describeChanges } from './describe-changes.ts';
export { type DownloadOptions, download } from './download.ts';
export { DurableFile, writeDurably } from './durable-file.ts';
export {
  allowAgain,
  type Connection,
  chooseSetting,
  ENVIRONMENT_VARIABLES,
  type EnvironmentSetting,
  refuseServerOffline,
  whatForbids,
} from './environment.ts';
export {
  AbortedError,
  DataError,
  type FaultOptions,
  type FaultPlace,
  isAbort,
  LlmQeError,
  ModelError,
  NetworkError,
  ResourceError,
  systemFault,
  throwIfAborted,
  UsageError,
} from './errors.ts';
export { type FileLockOptions, withFileLock } from './file-lock.ts';
export { isThere, makeFolder, syncFolder } from './folders.ts';
export { forgetFailure } from './forget-failure.ts';
export { canonicalJson, contentKey, sha256, sha256File } from './hash.ts';
export {
  address,
  ConnectionError,
  connectionFault,
  HttpError,
  httpError,
  type ReadOptions,
  type RequestOptions,
  type RetryOptions,
  readBeginning,
  readText,
  request,
  TimeoutError,
  withRetries,
} from './http.ts';
export { claimNeighbour, findLeftovers, type Leftover, replaceFolder, sweepLeftovers } from './leftovers.ts';
export {
  endNativeWork,
  exitInOrder,
  isNativeWorkUnderWay,
  type NativeWork,
  registerNativeWork,
} from './native-work.ts';
export { inGroup, optionGroup } from './option-groups.ts';
export { type OutputTarget, outputTarget } from './output-target.ts';
export { packageVersion } from './package-version.ts';
export { cacheHome } from './places.ts';
export { lifeOf, parseIdentity } from './process-identity.ts';
export { type Progress, type ProgressTask, SILENT } from './progress.ts';
export { ProtobufWriter } from './protobuf.ts';
export { DEFAULT_SEED, deriveSeed, Random } from './random.ts';
export { asMessage, HIDDEN, isSecretParameter, keepSecret, redact, redactData } from './redact.ts';
export { type CommandFiles, refuseOverwriting } from './refuse-overwriting.ts';
export { LONGEST_WAIT_SECONDS, retryAfterSeconds } from './retry-after.ts';
export { isInsideFolder, placeInside } from './safe-path.ts';
export { checkHeader, checkSecret } from './secrets.ts';
export {
  parseSettings,
  type Redefaulted,
  type RenamedSettings,
  renamedSetting,
  withDefaults,
} from './settings.ts';
export { refuseStandIn, refuseStandInFile, STAND_IN_BYTES } from './stand-in.ts';
export { workerFile } from './worker-file.ts';
export type { Answer, Serve } from './worker-messages.ts';
export { WorkerThread, type WorkerThreadOptions } from './worker-thread.ts';
export { type UnpackOptions, unpackZip } from './zip.ts';
