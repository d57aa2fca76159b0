import { types } from 'node:util';
import type { RedisCommand } from '../ioredis/command.js';
import { CacheCommandError, CacheConfigError, CacheUnavailableError } from '../redis-cache.errors.js';
import type { Place } from './address.js';

/**
 * Replies with which Redis says that it carried nothing out and may do so soon: starting up, cut off from its master, busy with a
 * script, or a Cluster between two owners of a slot.
 */
const NOT_NOW = new Set(['LOADING', 'MASTERDOWN', 'CLUSTERDOWN', 'TRYAGAIN', 'MOVED', 'ASK', 'BUSY']);

/** Replies after which the connection leads to the wrong server, or to one that must first recover. */
const WRONG_SERVER = new Set(['READONLY', 'LOADING', 'MASTERDOWN']);

const LOGIN_REFUSED = /^(WRONGPASS|NOAUTH)|^ERR (AUTH|invalid password|Client sent AUTH)/;

/** With what a server greets connections that it does not take; a node of a Cluster, in reply to the first command. */
const TURNED_AWAY = /^DENIED|^ERR max number of clients/;

/** Certificate problems: the codes of Node's TLS verification, and OpenSSL's own errors. */
const TLS_PROBLEM = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|^ERR_TLS|^ERR_OSSL|^ERR_SSL|^EPROTO$/;

/** As much of the beginning of an argument as it is recognized by in a reply, which may cut it off. */
const LEGIBLE = 16;
/** Shorter texts stand in many a message by chance. */
const SHORTEST_SECRET = 4;
/** A word of a command of ours, such as `TRACKING`. */
const OWN_WORD = /^[A-Z]+$/;

/** How Redis 6.2 wraps what a command of a script was refused with: the code of it stands in the middle. */
const IN_SCRIPT = /^ERR Error running script.*: -?([A-Z]{3,}) /s;
/** How Redis says NOPERM of a command of a script, in 6.2 and in 7. */
const NO_PERMISSION_IN_SCRIPT = /^ERR .*(user executing the script can't|ACL failure in script)/s;

const REDIRECTION = /^(MOVED|ASK) (\d+) (\S*):(\d+)$/;

/** How ioredis ends what it says of a reply that it cannot read. */
const PLEASE_REPORT = /\. Please report this\.$/;
const NOT_REDIS = '; does something other than Redis listen there?';

type Detailed = Error & { readonly code?: string };

/** An error's class, code and message, without the `command.args` in which ioredis keeps keys and values. */
export function describe(error: unknown, words?: RedisCommand): Error {
  // Node's own errors are of another realm, so no instance of this `Error`, where modules run in a context (Jest).
  const source = (types.isNativeError(error) ? error : new Error(String(error))) as Detailed;
  const plain = new Error(withoutArguments(source.message, words).replace(PLEASE_REPORT, NOT_REDIS));
  plain.name = source.name;
  // The stack would repeat the unshortened message, and is ioredis' own parser anyway.
  plain.stack = `${plain.name}: ${plain.message}`;
  return typeof source.code === 'string' ? Object.assign(plain, { code: source.code }) : plain;
}

/** Redis repeats arguments of a command that it does not know, and what else speaks its protocol may do so of any; ioredis repeats a reply to no command. */
function withoutArguments(message: string, words: RedisCommand | undefined): string {
  if (REDIRECTION.test(message)) return message; // its numbers may stand among the arguments by chance
  const short = message.replace(/(,? with args beginning with| Last (reply|error)):.*/s, '');
  const isRepeated = (arg: string | Buffer) => {
    const text = Buffer.isBuffer(arg) ? arg.toString('utf8', 0, LEGIBLE) : arg.slice(0, LEGIBLE);
    return text.length >= SHORTEST_SECRET && !OWN_WORD.test(text) && short.includes(text);
  };
  const args = words?.slice(words[0].startsWith('eval') ? 2 : 1); // the digest of a script is no secret
  return args?.some(isRepeated) ? `${short.split(' ', 1)[0]} (the reply repeats what was sent)` : short;
}

/** What an error reply begins with, or within a script would have begun with; `undefined` if the error is no reply of Redis. */
export function replyCode(error: unknown): string | undefined {
  if (!types.isNativeError(error) || error.name !== 'ReplyError') return undefined;
  if (NO_PERMISSION_IN_SCRIPT.test(error.message)) return 'NOPERM';
  return IN_SCRIPT.exec(error.message)?.[1] ?? error.message.split(' ', 1)[0];
}

/** Whether the connection should be made anew: it reached a replica, or a server that is not serving. */
export function leadsToWrongServer(error: unknown): boolean {
  return WRONG_SERVER.has(replyCode(error) ?? '');
}

/** @throws the reason for which PING was refused, but for MISCONF: a server that cannot save takes no writes, and serves reads */
export function orUnsaved(refusal: unknown): void {
  if (!(refusal instanceof CacheCommandError && refusal.reply === 'MISCONF')) throw refusal;
}

/** Where a Cluster says that a command belongs. */
export interface Redirection {
  /** `ASK`: this command only, after ASKING. */
  readonly kind: 'MOVED' | 'ASK';
  readonly slot: number;
  readonly host: string;
  readonly port: number;
}

/** What a failed call was told by a node of a Cluster, which an empty host stands for. */
export function redirectionOf(error: CacheUnavailableError, asked: Place): Redirection | undefined {
  const message = types.isNativeError(error.cause) ? error.cause.message : '';
  const [, kind, slot, named, port] = REDIRECTION.exec(message) ?? [];
  if (kind === undefined) return undefined;
  const host = named || ('host' in asked ? asked.host : '');
  return { kind: kind as 'MOVED' | 'ASK', slot: Number(slot), host, port: Number(port) };
}

/** What a caller is told of a command that failed, given whether it had been written to a socket. */
export function toCacheError(
  error: unknown,
  written: boolean,
  words?: RedisCommand,
): CacheCommandError | CacheUnavailableError {
  const lost = written ? 'unknown' : 'not-sent';
  if (error instanceof CacheUnavailableError) return new CacheUnavailableError(error.reason, lost, error.message);
  const cause = describe(error, words);
  const reply = replyCode(error);
  if (reply && LOGIN_REFUSED.test(cause.message))
    return new CacheUnavailableError('disconnected', 'not-sent', 'Redis refused the login', { cause });
  if (reply && !NOT_NOW.has(reply) && !TURNED_AWAY.test(cause.message))
    return new CacheCommandError(reply, `Redis refused the command: ${cause.message}`, { cause });
  if (reply || !written)
    return new CacheUnavailableError('disconnected', 'not-sent', 'Redis is not serving', { cause });
  const message = 'the connection to Redis was lost before the reply';
  return new CacheUnavailableError('disconnected', 'unknown', message, { cause });
}

/** What a caller is told of a command that was given up when its time was over. */
export function timedOut(
  outcome: 'not-sent' | 'unknown',
  problem = 'Redis did not answer within the timeout',
): CacheUnavailableError {
  return new CacheUnavailableError('timeout', outcome, problem);
}

/**
 * Tells a refusal (wrong password, unknown database, bad certificate: trying again does not help)
 * from an absence (nothing listens there yet: trying again does).
 */
export function toRefusal(error: unknown, place: string): CacheConfigError | undefined {
  const cause = describe(error);
  const { message } = cause;
  const code = (cause as Detailed).code ?? '';
  const refused = (option: string, problem: string) => new CacheConfigError(option, `${place}: ${problem}`, { cause });
  if (LOGIN_REFUSED.test(message))
    return refused('url', `Redis refused the login (${message.split(' ', 1)[0]}): check user name and password`);
  if (/DB index|SELECT is not allowed|NOPERM.*select/i.test(message))
    return refused('url', `Redis refused the database number (${message})`);
  if (message.startsWith('NOPERM')) return refused('url', `the user lacks a permission that is needed (${message})`);
  if (/cluster support disabled/.test(message))
    return refused('url', 'the server is no Redis Cluster: use redis:// instead of redis-cluster://');
  if (/unknown command.*sentinel/i.test(message))
    return refused('url', 'the server is no sentinel (it does not know SENTINEL): use redis:// instead');
  if (!TLS_PROBLEM.test(code)) return undefined;
  return refused('redis.tls', `the TLS connection failed (${code}: ${message}); ${tlsAdvice(code)}`);
}

function tlsAdvice(code: string): string {
  if (/SELF_SIGNED|UNABLE_TO|UNKNOWN/.test(code)) {
    return (
      'give the authority that signed it as redis: { tls: { ca } }, or, where the provider (such as Heroku) ' +
      'only has self-signed certificates, accept any with redis: { tls: { rejectUnauthorized: false } }'
    );
  }
  return /^EPROTO$|WRONG_VERSION|PACKET_LENGTH/.test(code) // plain text, in the words of different OpenSSLs
    ? 'does the server speak TLS on this port?'
    : 'check redis: { tls: { ca, cert, key, servername } }';
}

/** What opening a link failed with, or a question that is asked first: a refusal, or an absence. */
export function failedAt(place: string, error: unknown): Error {
  const cause: unknown = error instanceof Error ? (error.cause ?? error) : error;
  return toRefusal(cause, place) ?? describeAt(place, cause);
}

/** As {@link describe}, with the address in it. */
export function describeAt(place: string, error: unknown): Error {
  const plain = describe(error);
  if (!plain.message.includes(place)) plain.message = `${place}: ${plain.message}`;
  return plain;
}
