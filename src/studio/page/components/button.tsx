import type { ComponentChildren } from 'preact';

interface ButtonProps {
  children: ComponentChildren;
  onClick?: (() => void) | undefined;
  kind?: 'primary' | 'plain' | 'quiet';
  type?: 'button' | 'submit';
  disabled?: boolean;
  /** For those who cannot see what it shows. */
  label?: string | undefined;
  /** Whether it is on, of a button that switches. */
  pressed?: boolean | undefined;
}

export function Button({
  children,
  onClick,
  kind = 'plain',
  type = 'button',
  disabled = false,
  label,
  pressed,
}: ButtonProps) {
  return (
    <button {...{ type, disabled, onClick }} class={kind} aria-label={label} aria-pressed={pressed}>
      {children}
    </button>
  );
}
