import type { ContentfulStatusCode } from 'hono/utils/http-status';

/** A request that cannot be answered; its message goes to the client. */
export class RequestError extends Error {
  readonly status: ContentfulStatusCode;
  readonly fix: string;
  /** Seconds after which it may be sent again. */
  readonly retryAfter: number | undefined;

  constructor(
    status: ContentfulStatusCode,
    message: string,
    { fix, retryAfter }: { fix: string; retryAfter?: number },
  ) {
    super(message);
    this.name = 'RequestError';
    [this.status, this.fix, this.retryAfter] = [status, fix, retryAfter];
  }
}
