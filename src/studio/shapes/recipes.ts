/** What a field of the form takes. `yaml`: a list or a table, written as in a recipe. */
export type FieldKind = 'text' | 'number' | 'switch' | 'choice' | 'yaml';

/** A setting of a recipe, as its schema describes it. */
export interface FormField {
  /** Such as `dpo.beta`. */
  key: string;
  kind: FieldKind;
  /** Empty if the schema has none. */
  description: string;
  /** In the form of the field's text; undefined if there is none. */
  byDefault?: string | undefined;
  choices?: string[] | undefined;
  /** In words: `more than 0, at most 1`. */
  bounds: string;
  isRequired: boolean;
  /** Whether it is among the few that most people change. */
  isMain: boolean;
  /** It exists only while another field has this value. */
  when?: { key: string; value: string } | undefined;
}

/** A section of a recipe. */
export interface FormSection {
  /** Empty for the settings outside of all sections. */
  name: string;
  description: string;
  fields: FormField[];
}

/** A recipe that can be chosen. */
export interface ListedRecipe {
  /** `demo`, or `./mine.yaml` for a file in the folder of the studio. */
  source: string;
  isPackaged: boolean;
}

/** `GET /api/recipes` */
export interface RecipeChoices {
  recipes: ListedRecipe[];
  sections: FormSection[];
  engines: string[];
  /** Why no run can be started; undefined if one can. */
  why?: string | undefined;
}

/** `GET /api/recipes/source?source=...` */
export interface RecipeSource {
  source: string;
  /** What the recipe sets: keys of fields with their texts. */
  values: Record<string, string>;
}

/** What a form says: the body of `POST /api/recipes/check` and `/plan`. */
export interface RecipeForm {
  source: string;
  /** Changed keys with their values in YAML; null removes a key. */
  edits: { key: string; yaml: string | null }[];
  /** The name of the run; empty: that of the recipe. */
  run: string;
  engine: string;
  threads?: number | undefined;
  offline: boolean;
}

export interface FormFault {
  /** The field; `run` for the name of the run, empty for the recipe as a whole. */
  key: string;
  message: string;
  fix?: string | undefined;
}

/** Something that must be confirmed by name before a run is started. */
export interface Consent {
  id: string;
  kind: 'code' | 'server';
  /** The file or the address. */
  name: string;
  /** In a sentence. */
  text: string;
}

/** `POST /api/recipes/check`, and the event `checked` of `/plan` if there are faults */
export interface CheckedRecipe {
  faults: FormFault[];
  /** Empty if it cannot be written. */
  yaml: string;
  /** The name of the run. */
  run: string;
  /** The command that does the same; empty with faults. */
  command: string;
  /** The file that the command reads and a start writes, where the changes cannot be said as options. */
  recipeFile?: string | undefined;
  consents: Consent[];
}

/** The event `plan` of `POST /api/recipes/plan`. */
export interface PlannedRun extends CheckedRecipe {
  /** Of exactly what was planned: recipe, code and options. */
  id: string;
  inputs: { input: string; state: string; detail: string }[];
  stages: {
    stage: string;
    round?: number | undefined;
    state: string;
    work: string;
    tokens: number | null;
    bytes: number | null;
    seconds: number | null;
  }[];
  files: { file: string; state: string; bytes: number | null }[];
  total: { tokens: number; bytes: number; seconds: number; unknown: string[] };
  /** What forbids the start: inputs that are missing or bad. */
  obstacles: string[];
}

/** `POST /api/recipes/start`, and `POST /api/runs/NAME/resume` */
export interface StartForm {
  id: string;
  /** Of the consents that were given. */
  confirmed: string[];
}

/** `GET /api/runs/NAME/resume` */
export interface Resumable {
  id: string;
  command: string;
  consents: Consent[];
}

/** The process of a run, as the files of its folder and the system tell. */
export interface RunProcess {
  /** `waiting`: another process works in the folder. */
  state: 'starting' | 'waiting' | 'running' | 'stopping' | 'ended';
  pid?: number | undefined;
  /** Whether it can be stopped here, or why not. */
  canStop: boolean;
  whyNot?: string | undefined;
  /** Whether it can be resumed here: it was started from the studio. */
  canResume: boolean;
  /** How the last process ended that the studio started. */
  end?: { kind: 'finished' | 'stopped' | 'failed' | 'killed'; message: string } | undefined;
  /** Where the next start goes on, in words. */
  resumesAt?: string | undefined;
}

/** The event `log` of `GET /api/runs/NAME/live`: the end of what the process wrote. */
export interface RunLog {
  text: string;
  /** Whether there is more before it. */
  isCut: boolean;
}
