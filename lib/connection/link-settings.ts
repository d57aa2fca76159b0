import type { SocketOptions } from '../ioredis/client-factory.js';
import type { LoginSource } from './login.js';
import type { RedisClock } from './redis-clock.js';

/** Where one server listens. */
export type Place = { readonly host: string; readonly port: number } | { readonly path: string };

export function nameOf(place: Place): string {
  return 'path' in place ? place.path : `${place.host}:${place.port}`;
}

/** What all links of a connection have in common. Times in ms. */
export interface LinkSettings {
  readonly login: LoginSource;
  /** How sockets are opened; with `tls`, encrypted. */
  readonly socket: Pick<SocketOptions, 'family' | 'keepAlive' | 'noDelay' | 'tls'>;
  /** The database to select. */
  readonly db: number;
  /** Shown by CLIENT LIST. */
  readonly clientName?: string | undefined;
  /** The time for connecting, login and all. */
  readonly connectWithin: number;
  /** For how long a server that owes a reply may be silent. */
  readonly patience: number;
  /** After so long a silence a link is asked for a sign of life before it is relied on. */
  readonly doubtAfter: number;
  /** How often a sign of life is asked for; 0: never. */
  readonly heartbeat: number;
  /** Set by what Redis says. */
  readonly clock: RedisClock;
  readonly warn: (message: string) => void;
}
