import { UsageError } from './errors.ts';

/**
 * Every setting that an environment variable can give. An option of the command line or of a call comes first, then the
 * variables in this order (an empty one counts as not set), then the default. Each setting is resolved here and nowhere else.
 */
export const ENVIRONMENT_VARIABLES = {
  home: ['LLM_QE_HOME'],
  offline: ['LLM_QE_OFFLINE'],
  /** Those of Hugging Face's own libraries: they forbid connections to the hub, and say nothing of servers. */
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
  /** The Python that has TRL. */
  python: ['LLM_QE_PYTHON'],
} as const satisfies Record<string, readonly string[]>;

export type EnvironmentSetting = keyof typeof ENVIRONMENT_VARIABLES;

/** A value of the environment and the variable that gave it. */
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
 * The option where one is given, else the environment's value, else undefined: the caller's default follows.
 * Blanks around a variable's value are dropped.
 */
export function chooseSetting(
  option: string | undefined,
  setting: EnvironmentSetting,
  environment: NodeJS.ProcessEnv = process.env,
): string | undefined {
  return option ?? find(setting, environment)?.value;
}

/** What is not to be reached: the hub and other places that models and data come from, or servers as well. */
export type Connection = 'downloads' | 'servers';

/**
 * What forbids a kind of connection: `--offline` or a variable, by its name; undefined if it is allowed. `--offline` and
 * LLM_QE_OFFLINE forbid every connection, the variables of Hugging Face forbid downloads only.
 * @param offline the option: true, false (`--no-offline`, which outweighs the environment), or undefined if it was not given
 * @throws UsageError if LLM_QE_OFFLINE says neither yes nor no
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
  // Each of these two counts by itself, as it does in Hugging Face's libraries, and anything else than yes is no.
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

/** The first half of a fix: how to allow connections again. @param forbids as {@link whatForbids} names it */
export function allowAgain(forbids: string): string {
  return forbids === '--offline' ? 'Leave --offline away' : `Unset ${forbids} or give --no-offline`;
}

/** The same for a server that is about to be asked. @throws UsageError if connections to servers are forbidden */
export function refuseServerOffline(address: string, offline: boolean | undefined): void {
  const forbids = whatForbids('servers', offline);
  if (forbids === undefined) return;
  throw new UsageError(`${address} is a server, and connections are switched off by ${forbids}`, {
    fix: `${allowAgain(forbids)}, or name a model instead of the server.`,
  });
}
