import type { Endpoint, RedisAddress } from './connection/address.js';
import { CacheConfigError } from './redis-cache.errors.js';

type Scheme = Pick<RedisAddress, 'kind' | 'tls'> & { readonly defaultPort: number };

const SCHEMES: Readonly<Record<string, Scheme>> = {
  redis: { kind: 'standalone', tls: false, defaultPort: 6379 },
  rediss: { kind: 'standalone', tls: true, defaultPort: 6379 },
  valkey: { kind: 'standalone', tls: false, defaultPort: 6379 },
  valkeys: { kind: 'standalone', tls: true, defaultPort: 6379 },
  unix: { kind: 'standalone', tls: false, defaultPort: 0 },
  'redis-sentinel': { kind: 'sentinel', tls: false, defaultPort: 26379 },
  'rediss-sentinel': { kind: 'sentinel', tls: true, defaultPort: 26379 },
  'redis-cluster': { kind: 'cluster', tls: false, defaultPort: 6379 },
  'rediss-cluster': { kind: 'cluster', tls: true, defaultPort: 6379 },
};

/**
 * Reads a url strictly: what ioredis would guess at (`http://…` as Redis, `/notanumber` as database 0) is an error here.
 * Messages never repeat the url, since a password may stand anywhere in a mistyped one.
 *
 * @throws CacheConfigError naming the part that is wrong
 */
export function parseRedisUrl(url: string): RedisAddress {
  // A host comes before the first of these, so what stands before an @ behind it is a login with such a character.
  if (!/^unix:/i.test(url) && /^[a-z-]+:\/\/[^/?#]*[/?#].*@/i.test(url)) {
    throw invalid('has a "/", "?" or "#" in its login: write user name and password with encodeURIComponent');
  }
  if (url === 'memory:' || url === 'memory://') return { kind: 'memory', endpoints: [], tls: false, db: 0 };
  const parts = /^([a-z-]+):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/i.exec(url);
  const scheme = parts?.[1] && Object.hasOwn(SCHEMES, parts[1].toLowerCase()) && SCHEMES[parts[1].toLowerCase()];
  if (!parts || !scheme) {
    const known = [...Object.keys(SCHEMES).map((name) => `${name}://`), 'memory:'].join(', ');
    throw invalid(`must start with one of ${known}`);
  }
  const [, name = '', authority = '', path = '', search = ''] = parts;
  const at = authority.lastIndexOf('@');
  const hosts = authority.slice(at + 1);
  const address = {
    kind: scheme.kind,
    tls: scheme.tls,
    ...parseLogin(at < 0 ? '' : authority.slice(0, at)),
    ...parseQuery(search),
  };
  if (name.toLowerCase() === 'unix') {
    if (hosts || path.length < 2) throw invalid('a unix socket is written unix:///path/to/redis.sock');
    return { db: 0, ...address, endpoints: [], path: decode(path) };
  }
  const names = hosts.split(',');
  if (names.length > 1 && names.includes('')) throw invalid('has a comma without a host beside it');
  const endpoints = names.map((host) => parseEndpoint(host, scheme.defaultPort));
  if (scheme.kind === 'standalone' && endpoints.length > 1)
    throw invalid('names several hosts: use redis-sentinel:// or redis-cluster://');
  const said = parsePath(path, scheme.kind);
  const { db = said.db ?? 0 } = address;
  if (db !== (said.db ?? db)) throw invalid(`says database ${said.db} in its path, and "?db=${db}": remove one`);
  if (scheme.kind === 'cluster' && db > 0) throw invalid('a Redis Cluster has database 0 only');
  return { ...address, ...said, db, endpoints };
}

/** The user name of `user:password@`; `:password@` is the default user. */
function parseLogin(login: string): Pick<RedisAddress, 'username' | 'password'> {
  const [, username, password] = /^([^:]*):?(.*)$/s.exec(login)?.map(decode) ?? [];
  return { ...(username && { username }), ...(password && { password }) };
}

function parseQuery(search: string): { db?: number; family?: number } {
  const found: { db?: number; family?: number } = {};
  for (const [key, value] of new URLSearchParams(search)) {
    if (Object.hasOwn(found, key)) throw invalid(`gives "${key}" twice`);
    if (key === 'db') found.db = parseDb(value);
    else if (key === 'family' && /^[046]$/.test(value)) found.family = Number(value);
    else throw invalid('has a query parameter other than db=N and family=4|6; use the "redis" option for the rest');
  }
  return found;
}

function parseEndpoint(text: string, defaultPort: number): Endpoint {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]*))(?::(\d+))?$/i.exec(text);
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (!match || port < 1 || port > 65_535) {
    throw invalid('a host is written host:port, with a port from 1 to 65535 (and an IPv6 address in brackets)');
  }
  return { host: decode(match[1] ?? match[2] ?? '') || 'localhost', port };
}

function parsePath(path: string, kind: RedisAddress['kind']): { db?: number; masterName?: string } {
  const [, first = '', second = '', ...rest] = path.split('/');
  const db = kind === 'sentinel' ? second : first;
  if (rest.length > 0 || (kind !== 'sentinel' && second)) throw invalid('has a path with too many parts');
  if (kind === 'sentinel' && !first)
    throw invalid('needs the name of the master: redis-sentinel://host:26379/mymaster');
  return { ...(db && { db: parseDb(db) }), ...(kind === 'sentinel' && { masterName: decode(first) }) };
}

function parseDb(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw invalid('the database must be a number: redis://host:6379/0');
  return Number(text);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('has a "%" that is not followed by two hexadecimal digits; write a percent sign as %25');
  }
}

function invalid(problem: string): CacheConfigError {
  return new CacheConfigError('url', problem);
}
