interface ProgressProps {
  label: string;
  done: number;
  /** Undefined if it is not known. */
  total?: number | undefined;
  /** In the plural. */
  unit: string;
  note?: string | undefined;
}

/** How far a piece of work is. */
export function Progress({ label, done, total, unit, note }: ProgressProps) {
  const counts = total === undefined ? `${format(done)} ${unit}` : `${format(done)} of ${format(total)} ${unit}`;
  return (
    <div class="progress">
      <span>{label}</span>
      <progress
        aria-label={label}
        {...(total !== undefined && { value: Math.min(done, total), max: Math.max(total, 1) })}
      />
      <span class="soft">{note ? `${counts}, ${note}` : counts}</span>
    </div>
  );
}

function format(count: number): string {
  return count.toLocaleString('en');
}
