import { ApiError } from '../client/request.ts';
import { visible } from './text.tsx';

interface NoticeProps {
  error: unknown;
  /** What to do, if the error does not say. */
  fix?: string | undefined;
  onRetry?: (() => void) | undefined;
}

/** What went wrong, and what to do about it. Nothing if there is no error. */
export function Notice({ error, fix, onRetry }: NoticeProps) {
  if (error === undefined) return null;
  const message = error instanceof Error ? error.message : String(error);
  const advice = error instanceof ApiError ? error.fix : fix;
  return (
    <div class="notice" role="alert">
      <p>
        <strong>{sentence(visible(message))}</strong> {advice && visible(advice)}
      </p>
      {onRetry && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
