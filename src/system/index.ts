export { counted } from './counted.ts';
export { describeChanges } from './describe-changes.ts';
export { type CacheEntry, type CleanOptions, cleanCache, listCache } from './disk/cache-entries.ts';
export { CacheKind, type CacheKindSettings } from './disk/cache-kind.ts';
export { DurableFile, writeDurably } from './disk/durable-file.ts';
export { type FileLockOptions, withFileLock } from './disk/file-lock.ts';
export { isThere, makeFolder, syncFolder } from './disk/folders.ts';
export { canonicalJson, contentKey, sha256, sha256File } from './disk/hash.ts';
export { claimNeighbour, findLeftovers, type Leftover, replaceFolder, sweepLeftovers } from './disk/leftovers.ts';
export { type OutputTarget, outputTarget } from './disk/output-target.ts';
export { cacheHome } from './disk/places.ts';
export { type CommandFiles, refuseOverwriting } from './disk/refuse-overwriting.ts';
export { refuseUnwritable } from './disk/refuse-unwritable.ts';
export { isInsideFolder, placeInside } from './disk/safe-path.ts';
export { isSealed, removeSealed, seal } from './disk/sealed-file.ts';
export { refuseStandIn, refuseStandInFile, STAND_IN_BYTES } from './disk/stand-in.ts';
export { type UnpackOptions, unpackZip } from './disk/zip.ts';
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
export { forgetFailure } from './forget-failure.ts';
export { takeCredentials } from './network/credentials.ts';
export { type DownloadOptions, download } from './network/download.ts';
export {
  address,
  ConnectionError,
  connectionFault,
  HttpError,
  httpError,
  isPassing,
  type ReadOptions,
  type RequestOptions,
  type RetryOptions,
  readBeginning,
  readText,
  request,
  TimeoutError,
  timerOf,
  withRetries,
} from './network/http.ts';
export { asMessage, HIDDEN, isSecretParameter, keepSecret, redact, redactData } from './network/redact.ts';
export { LONGEST_WAIT_SECONDS, retryAfterSeconds } from './network/retry-after.ts';
export { checkHeader, checkSecret, isSameSecret } from './network/secrets.ts';
export { inGroup, optionGroup, toKebab } from './option-groups.ts';
export { optionalPackage, refuseIfSlim } from './optional-package.ts';
export { packageCommit, packageVersion } from './package-version.ts';
export { peakMemory } from './peak-memory.ts';
export { type Progress, type ProgressTask, SILENT } from './progress.ts';
export { ProtobufWriter } from './protobuf.ts';
export { DEFAULT_SEED, deriveSeed, Random } from './random.ts';
export {
  parseSettings,
  type Redefaulted,
  type RenamedSettings,
  renamedSetting,
  withDefaults,
} from './settings.ts';
export { shellWord, shortPath } from './shell-word.ts';
export { endBoundChild, spawnBound } from './workers/bound-child.ts';
export {
  endNativeWork,
  exitInOrder,
  isNativeWorkUnderWay,
  type NativeWork,
  registerNativeWork,
} from './workers/native-work.ts';
export {
  formatIdentity,
  identityOf,
  isExact,
  lifeOf,
  type ProcessIdentity,
  parseIdentity,
} from './workers/process-identity.ts';
export { workerFile } from './workers/worker-file.ts';
export type { Answer, Serve } from './workers/worker-messages.ts';
export { WorkerThread, type WorkerThreadOptions } from './workers/worker-thread.ts';
