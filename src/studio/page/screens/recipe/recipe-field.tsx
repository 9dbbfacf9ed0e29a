import type { FormField } from '../../../shapes/recipes.ts';
import { Area, Field, Select, Switch } from '../../components/field.tsx';
import { visible } from '../../components/text.tsx';

interface RecipeFieldProps {
  field: FormField;
  /** Undefined: the default holds. */
  text: string | undefined;
  error: string | undefined;
  onText: (text: string) => void;
}

/** The name of a field within its section. */
export function labelOf({ key }: FormField): string {
  return key.includes('.') ? key.slice(key.indexOf('.') + 1) : key;
}

/** One setting of a recipe, as its schema describes it. */
export function RecipeField({ field, text = '', error, onText }: RecipeFieldProps) {
  const { kind, byDefault = '', choices = [], isRequired } = field;
  const common = { label: labelOf(field), hint: hintOf(field), error: error && visible(error) };
  if (kind === 'switch') {
    return <Switch {...common} checked={(text || byDefault) === 'true'} onChange={(on) => onText(`${on}`)} />;
  }
  if (kind === 'choice') {
    const none = byDefault === '' && !isRequired ? [['', 'not set'] as const] : [];
    const known = text === '' || choices.includes(text) ? choices : [text, ...choices];
    const options = [...none, ...known.map((one) => [one, visible(one)] as const)];
    return <Select {...common} value={text || byDefault} options={options} onChange={onText} />;
  }
  if (text.includes('\n')) return <Area {...common} value={text} onInput={onText} placeholder={byDefault} />;
  return <Field {...common} value={text} placeholder={byDefault} onInput={onText} />;
}

function hintOf({ description, bounds, byDefault, isRequired, kind }: FormField): string {
  const defaults = byDefault === undefined || kind === 'choice' ? '' : `default ${byDefault}`;
  const facts = [isRequired && 'required', bounds, defaults].filter(Boolean).join('; ');
  return visible([description, facts].filter(Boolean).join(' – '));
}
