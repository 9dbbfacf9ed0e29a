import { expect, it } from 'vitest';
import { chooseSetting, ENVIRONMENT_VARIABLES, type EnvironmentSetting } from './environment.ts';

const SETTINGS = Object.keys(ENVIRONMENT_VARIABLES) as EnvironmentSetting[];

it.each(SETTINGS)('takes %s from the option, then from its variables in order, and ignores blank ones', (setting) => {
  const names: readonly string[] = ENVIRONMENT_VARIABLES[setting];
  const environment: NodeJS.ProcessEnv = Object.fromEntries(names.map((name) => [name, ` ${name}'s value\n`]));
  expect(chooseSetting('the option', setting, environment)).toBe('the option');
  for (const name of names) {
    expect(chooseSetting(undefined, setting, environment)).toBe(`${name}'s value`);
    environment[name] = ' \n';
  }
  expect(chooseSetting(undefined, setting, environment)).toBeUndefined();
});
