import { HIDDEN, isSecretParameter, keepSecret } from './redact.ts';

/**
 * Removes `user:password@` from an address, and remembers the secrets that no message may show: the password, and the keys in the
 * query string.
 * @returns the equivalent header
 */
export function takeCredentials(place: URL): string | undefined {
  for (const [name, value] of place.searchParams) if (isSecretParameter(name) && value !== HIDDEN) keepSecret(value);
  if (place.username === '' && place.password === '') return undefined;
  const [user, password] = [place.username, place.password].map(decode);
  const encoded = Buffer.from(`${user}:${password}`).toString('base64');
  // Some servers accept a token as the user name, without a password.
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
