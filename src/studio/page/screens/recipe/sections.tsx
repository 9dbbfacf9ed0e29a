import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { FormField, FormSection } from '../../../shapes/recipes.ts';
import { isShown, type Texts } from './form-state.ts';
import { RecipeField } from './recipe-field.tsx';

interface SectionsProps {
  sections: readonly FormSection[];
  texts: Texts;
  faults: Readonly<Record<string, string>>;
  onText: (key: string, text: string) => void;
}

/** All settings of a recipe: the main ones open, the others folded below them, sections without a main one at the end. */
export function Sections({ sections, ...rest }: SectionsProps) {
  const hasMain = ({ fields }: FormSection) => fields.some(({ isMain }) => isMain);
  const others = sections.filter((section) => !hasMain(section));
  return (
    <>
      {sections.filter(hasMain).map((section) => (
        <Section key={section.name} section={section} {...rest} />
      ))}
      <Folded summary={`More sections: ${others.map(({ name }) => name).join(', ')}`} isOpen={hasFault(others, rest)}>
        {others.map((section) => (
          <Section key={section.name} section={section} {...rest} isWhole />
        ))}
      </Folded>
    </>
  );
}

type SectionProps = Omit<SectionsProps, 'sections'> & { section: FormSection; isWhole?: boolean };

function Section({ section, isWhole = false, ...rest }: SectionProps) {
  const shown = section.fields.filter((field) => isShown(field, rest.texts));
  const main = isWhole ? shown : shown.filter(({ isMain }) => isMain);
  const more = shown.filter((field) => !main.includes(field));
  const { name, description } = section;
  return (
    <fieldset class="settings">
      <legend>{name === '' ? 'general' : name}</legend>
      {description !== '' && <p class="soft">{description}</p>}
      <Fields fields={main} {...rest} />
      {more.length > 0 && (
        <Folded summary={`More settings of ${name || 'the recipe'}: ${more.length}`} isOpen={isAnyWrong(more, rest)}>
          <Fields fields={more} {...rest} />
        </Folded>
      )}
    </fieldset>
  );
}

function Fields({ fields, texts, faults, onText }: Omit<SectionsProps, 'sections'> & { fields: readonly FormField[] }) {
  return (
    <div class="fields">
      {fields.map((field) => (
        <RecipeField
          key={field.key}
          field={field}
          text={texts[field.key]}
          error={faults[field.key]}
          onText={(text) => onText(field.key, text)}
        />
      ))}
    </div>
  );
}

/** What is folded opens when something in it is wrong. What was never opened is not drawn: most never are. */
function Folded({ summary, isOpen, children }: { summary: string; isOpen: boolean; children: ComponentChildren }) {
  const [wasOpened, setOpened] = useState(false);
  return (
    <details
      class="more"
      open={isOpen || undefined}
      onToggle={(event) => setOpened(wasOpened || event.currentTarget.open)}
    >
      <summary>{summary}</summary>
      {(wasOpened || isOpen) && children}
    </details>
  );
}

type Faults = Pick<SectionsProps, 'faults'>;

function isAnyWrong(fields: readonly FormField[], { faults }: Faults): boolean {
  return fields.some(({ key }) => faults[key] !== undefined);
}

function hasFault(sections: readonly FormSection[], rest: Faults): boolean {
  return sections.some(({ fields }) => isAnyWrong(fields, rest));
}
