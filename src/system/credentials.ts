import { HIDDEN, isSecretParameter, keepSecret } from './redact.ts';

/**
 * Takes `user:password@` out of an address, and remembers what no message may show: the password, and the keys of its query.
 * @returns the header that says the same
 */
export function takeCredentials(place: URL): string | undefined {
  for (const [name, value] of place.searchParams) if (isSecretParameter(name) && value !== HIDDEN) keepSecret(value);
  if (place.username === '' && place.password === '') return undefined;
  const [user, password] = [place.username, place.password].map(decode);
  const encoded = Buffer.from(`${user}:${password}`).toString('base64');
  // Some servers take a token as the name, with no password.
  keepSecret(password || user!);
  keepSecret(encoded);
  place.username = '';
  place.password = '';
  return `Basic ${encoded}`;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
