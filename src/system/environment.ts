import { UsageError } from './errors.ts';

/**
 * Every setting that an environment variable can set. An option of the command line or of a call takes precedence, then the
 * variables in this order (a blank one counts as not set), then the default. Settings are resolved only here.
 */
export const ENVIRONMENT_VARIABLES = {
  home: ['LLM_QE_HOME'],
  offline: ['LLM_QE_OFFLINE'],
  /** Variables of Hugging Face's own libraries. They forbid connections to the hub, but not to servers. */
  hubOffline: ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'],
  hubEndpoint: ['HF_ENDPOINT'],
  hubToken: ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'],
  hubTokenFile: ['HF_TOKEN_PATH'],
  hubHome: ['HF_HOME'],
  hubCache: ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE'],
  caches: ['XDG_CACHE_HOME'],
  beirUrl: ['LLM_QE_BEIR_URL'],
  serverKey: ['OPENAI_API_KEY'],
  /** The account that OpenAI's own clients name in their calls. */
  serverOrganization: ['OPENAI_ORG_ID'],
  serverProject: ['OPENAI_PROJECT_ID'],
  /** The Python installation with TRL. */
  python: ['LLM_QE_PYTHON'],
} as const satisfies Record<string, readonly string[]>;

export type EnvironmentSetting = keyof typeof ENVIRONMENT_VARIABLES;

/** A value from the environment, and its variable. */
interface Found {
  name: string;
  value: string;
}

function find(setting: EnvironmentSetting, environment: NodeJS.ProcessEnv): Found | undefined {
  const names: readonly string[] = ENVIRONMENT_VARIABLES[setting];
  const name = names.find((candidate) => (environment[candidate] ?? '').trim() !== '');
  return name === undefined ? undefined : { name, value: environment[name]!.trim() };
}

/**
 * Returns the option if it is given, otherwise the environment's value, otherwise undefined, so that the caller's default applies.
 * Blanks around a variable's value are removed.
 */
export function chooseSetting(
  option: string | undefined,
  setting: EnvironmentSetting,
  environment: NodeJS.ProcessEnv = process.env,
): string | undefined {
  return option ?? find(setting, environment)?.value;
}

/** Kinds of connections that can be forbidden: to the hub and other sources of models and data, or also to servers. */
export type Connection = 'downloads' | 'servers';

/**
 * Returns what forbids a kind of connection: `--offline` or the name of a variable; undefined if it is allowed. `--offline` and
 * LLM_QE_OFFLINE forbid every connection; the variables of Hugging Face forbid only downloads.
 * @param offline the option: true, false (`--no-offline`, which takes precedence over the environment), or undefined if it was not
 * given
 * @throws UsageError if LLM_QE_OFFLINE is neither yes nor no
 */
export function whatForbids(
  connection: Connection,
  offline: boolean | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): string | undefined {
  if (offline !== undefined) return offline ? '--offline' : undefined;
  const own = find('offline', environment);
  if (own !== undefined) return saysYes(own) ? own.name : undefined;
  if (connection === 'servers') return undefined;
  // Each of these two variables counts by itself, as in Hugging Face's libraries. Any value other than yes means no.
  return ENVIRONMENT_VARIABLES.hubOffline.find((name) => YES.test(environment[name]?.trim() ?? ''));
}

const YES = /^(1|on|yes|true)$/i;
const NO = /^(0|off|no|false)$/i;

function saysYes({ name, value }: Found): boolean {
  if (YES.test(value)) return true;
  if (NO.test(value)) return false;
  throw new UsageError(`${name} is ${JSON.stringify(value.slice(0, 40))}, neither yes nor no`, {
    fix: `Set ${name} to 1 or 0, or unset it.`,
  });
}

/** Returns the first half of a fix: how to allow connections again. @param forbids a result of {@link whatForbids} */
export function allowAgain(forbids: string): string {
  return forbids === '--offline' ? 'Omit --offline' : `Unset ${forbids} or pass --no-offline`;
}

/** Refuses a server if connections to servers are forbidden. @throws UsageError */
export function refuseServerOffline(address: string, offline: boolean | undefined): void {
  const forbids = whatForbids('servers', offline);
  if (forbids === undefined) return;
  throw new UsageError(`${address} is a server, and connections are switched off by ${forbids}`, {
    fix: `${allowAgain(forbids)}, or use a model instead of the server.`,
  });
}
