import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { JudgeDocument } from '../../shapes/judge.ts';
import { Button } from '../components/button.tsx';
import { Text } from '../components/text.tsx';
import { GRADES } from './words.ts';

interface DocumentCardProps {
  document: JudgeDocument;
  isCurrent: boolean;
  isNoting: boolean;
  onFocus: () => void;
  onGrade: (grade: number) => void;
  onSkip: () => void;
  /** Undefined: the note is left as it was. */
  onNote: (note: string | undefined) => void;
  onNoting: () => void;
}

const LINES = 6;

/** A result to judge. Nothing tells which search found it, or at what rank. */
export function DocumentCard(props: DocumentCardProps) {
  const { document, isCurrent, isNoting, onFocus, onGrade, onSkip, onNote, onNoting } = props;
  const card = useRef<HTMLLIElement>(null);
  const [isWhole, setWhole] = useState(false);
  useEffect(() => {
    if (isCurrent) card.current!.scrollIntoView({ block: 'nearest' });
  }, [isCurrent]);
  const isLong = document.text.length > 500;
  return (
    <li
      ref={card}
      class={`card judge-card${isCurrent ? ' current' : ''}`}
      aria-current={isCurrent ? 'true' : undefined}
      onFocusCapture={onFocus}
    >
      <p class="judge-id soft">
        <Text value={document.id} />
        {document.isFound && ' · added by a search'}
      </p>
      <p class="judge-text">
        <Text value={document.text} lines={isWhole ? undefined : LINES} />
      </p>
      {isLong && (
        <button type="button" class="link" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
          {isWhole ? 'Show less' : 'Show the whole text'}
        </button>
      )}
      {isWhole && document.isCut && <p class="hint">The document is longer; the rest is not shown.</p>}
      <fieldset class="judge-grades" aria-label={`Grade of ${document.id}`}>
        {GRADES.map((word, grade) => (
          <Button key={grade} pressed={document.grade === grade} onClick={() => onGrade(grade)}>
            {grade} <span class="judge-word">{word}</span>
          </Button>
        ))}
        <Button kind="quiet" pressed={document.isSkipped} onClick={onSkip}>
          Skip
        </Button>
        <Button kind="quiet" onClick={onNoting} label={`Note on ${document.id}`}>
          Note
        </Button>
      </fieldset>
      {isNoting ? (
        <NoteField note={document.note} onNote={onNote} />
      ) : (
        document.note !== '' && (
          <p class="judge-note">
            <Text value={document.note} />
          </p>
        )
      )}
    </li>
  );
}

/** Control and Enter, or leaving the field, keeps the note; Escape leaves it as it was. */
function NoteField({ note, onNote }: { note: string; onNote: (note: string | undefined) => void }) {
  const id = useId();
  const field = useRef<HTMLTextAreaElement>(null);
  const isLeft = useRef(false);
  const [value, setValue] = useState(note);
  useEffect(() => field.current!.focus(), []);
  const leave = (text: string | undefined) => {
    if (isLeft.current) return;
    isLeft.current = true;
    onNote(text === note ? undefined : text);
  };
  return (
    <div class="field">
      <label for={id}>Note</label>
      <textarea
        id={id}
        ref={field}
        rows={2}
        maxLength={4000}
        value={value}
        aria-describedby={`${id}-hint`}
        onInput={(event) => setValue(event.currentTarget.value)}
        onBlur={() => leave(value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') leave(undefined);
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) leave(value);
        }}
      />
      <p class="hint" id={`${id}-hint`}>
        <kbd>Ctrl</kbd> <kbd>Enter</kbd> keeps it, <kbd>Esc</kbd> leaves it as it was.
      </p>
    </div>
  );
}
