import { useState } from 'preact/hooks';
import { Button } from '../components/button.tsx';
import { Dialog } from '../components/dialog.tsx';
import { Command } from '../components/empty.tsx';

interface CopyProps {
  /** Such as `Copy as command`. */
  label: string;
  /** What it is, in a sentence. */
  about: string;
  /** Made when it is asked for. */
  text: () => string;
}

/** Copies a text, and shows it. */
export function Copy({ label, about, text }: CopyProps) {
  const [copied, setCopied] = useState<{ text: string; isCopied: boolean }>();
  const copy = async () => {
    const made = text();
    const isCopied = await navigator.clipboard.writeText(made).then(
      () => true,
      () => false,
    );
    setCopied({ text: made, isCopied });
  };
  return (
    <>
      <Button onClick={() => void copy()}>{label}</Button>
      <Dialog title={label} open={copied !== undefined} onClose={() => setCopied(undefined)}>
        <p>{about}</p>
        <Command>{copied?.text ?? ''}</Command>
        <p class="hint" role="status">
          {copied?.isCopied ? 'Copied to the clipboard.' : 'The browser did not let it be copied: select and copy it.'}
        </p>
      </Dialog>
    </>
  );
}
