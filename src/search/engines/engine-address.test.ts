import { describe, expect, it } from 'vitest';
import { redact, UsageError } from '../../system/index.ts';
import { isEngineAddress, parseEngineAddress } from './engine-address.ts';

describe('the address of an engine', () => {
  it('names an engine, a table or collection, and how to search', () => {
    const postgres = parseEngineAddress(
      ' postgres://me:pass-word-1@db.example.org:5433/docs?table=t1&search=hnsw&sslmode=require ',
    );
    expect(postgres).toMatchObject({ kind: 'postgres', name: 't1', search: 'hnsw' });
    expect(postgres.url.href).toBe('postgres://me:pass-word-1@db.example.org:5433/docs?sslmode=require');
    const milvus = parseEngineAddress('milvus:http://10.0.0.7:19530/papers');
    expect(milvus).toMatchObject({ kind: 'milvus', name: 'papers', search: 'exact' });
    expect(milvus.url.href).toBe('http://10.0.0.7:19530/');
    expect(parseEngineAddress('milvus:https://h:443').name).toBeUndefined();
    expect(['postgresql://h/d', 'exact', 'hnsw', 'http://h'].map(isEngineAddress)).toEqual([true, false, false, false]);
  });

  it('is shown without its secrets, and understood again in that form', () => {
    const typed = 'postgres://me:a%2Fsecret%20word@h:5432/d?table=t&api_key=abcdefghij';
    const { shown, url } = parseEngineAddress(typed);
    expect(shown).toBe('postgres://***@h:5432/d?table=t&api_key=***');
    expect(parseEngineAddress(shown).url.href).toBe(url.href);
    expect(redact('it was "a/secret word", and abcdefghij')).toBe('it was "***", and ***');
    expect(() => parseEngineAddress('postgres://***@elsewhere/d')).toThrow(/in place of a secret/);
  });

  it.each(['postgres:', 'milvus:h:19530', 'milvus:ftp://h', 'postgres://h/d?table=a b', 'milvus:http://h/a/b'])(
    'refuses %j',
    (address) => {
      expect(() => parseEngineAddress(address)).toThrow(UsageError);
    },
  );
});
