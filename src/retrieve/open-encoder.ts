import { connectEncoder, type Encoder, loadEncoder, type RemoteEncoderOptions } from '../embed/index.ts';
import type { ModelStore } from '../models/index.ts';
import { refuseWithoutRuntime } from '../nn/index.ts';
import { isServerAddress, refuseIdleOptions, refuseServerOptions } from '../servers/index.ts';
import { type Progress, refuseServerOffline, UsageError } from '../system/index.ts';
import type { RetrievalSettings } from './settings.ts';

/**
 * Opens the encoder in the settings: a server if it is an address, otherwise a model.
 * @param limits of calls to a server, in place of those of the settings and the defaults
 * @throws UsageError for settings that have no effect with a server, or only with a server
 */
export async function openEncoder(
  settings: RetrievalSettings,
  store: ModelStore,
  signal?: AbortSignal,
  progress?: Progress,
  graphs?: string,
  limits: Pick<RemoteEncoderOptions, 'retries' | 'timeoutSeconds' | 'maxWaitSeconds'> = {},
): Promise<Encoder> {
  const { encoder, encoderModel, queryPrefix, documentPrefix, batchSize, maxWait } = settings;
  const { precision, pooling, maxLength, threads } = settings;
  if (!isServerAddress(encoder)) {
    refuseServerOptions('the encoder', { '--encoder-model': encoderModel, '--batch-size': batchSize });
    refuseWithoutRuntime();
    const model = await store.resolve(encoder, { kind: 'encoder', signal });
    return loadEncoder(model, {
      precision,
      pooling,
      maxLength,
      threads,
      queryPrefix,
      documentPrefix,
      cache: graphs,
      signal,
    });
  }
  refuseServerOffline(encoder, settings.offline);
  refuseIdleOptions('the encoder', {
    '--precision': precision === 'f32' ? undefined : precision,
    '--pooling': pooling,
    '--max-length': maxLength,
  });
  if (encoderModel === undefined) {
    throw new UsageError('an embedding server needs the name of its model', {
      fix: 'Pass --encoder-model NAME, as the server lists it under /models.',
    });
  }
  return connectEncoder({
    ...{ baseUrl: encoder, model: encoderModel, queryPrefix, documentPrefix, batchSize },
    ...{ maxWaitSeconds: maxWait, signal, progress, ...limits },
  });
}
