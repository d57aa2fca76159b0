import { createParamDecorator, Inject, Injectable, Logger, SetMetadata } from '@nestjs/common';
import type { CanActivate, ContextType, ExecutionContext, Type } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { durationProblem, toMilliseconds } from '../redis-cache.duration.js';
import type { Duration } from '../redis-cache.duration.js';
import { CacheArgumentError, CacheCorruptError } from '../redis-cache.errors.js';
import { now } from '../redis-cache.timers.js';
import { InjectSessions } from './auth.options.js';
import { refusalOf } from './refusals.js';
import type { Refusal } from './refusals.js';
import type { Session } from './session.js';
import { Sessions } from './sessions.js';

const PUBLIC = 'nestjs-redis-cache-store/auth: Public';
const FRESH = Symbol('nestjs-redis-cache-store/auth: RequireFresh');
/** A wrong encryption key makes every record corrupt: one line in so many ms is enough to be seen. */
const REPORT_PAUSE = 60_000;

/** When a session that cannot be read was reported last, whichever instance of the guard met it. */
const reportedAt = new WeakMap<Sessions, number>();

/** What a guard has found. */
interface Found {
  /** The name of the guard. */
  readonly by: string | undefined;
  readonly session?: Session | undefined;
  readonly token?: string | undefined;
}
/** By the request, message or GraphQL context, then by the handler: GraphQL answers a request by several at a time. */
const found = new WeakMap<object, WeakMap<object, Found>>();

function findingOf(context: ExecutionContext): Found | undefined {
  return found.get(carrierOf(context))?.get(context.getHandler());
}

function setFinding(context: ExecutionContext, finding: Found): void {
  const carrier = carrierOf(context);
  const byHandler = found.get(carrier) ?? new WeakMap<object, Found>();
  found.set(carrier, byHandler.set(context.getHandler(), finding));
}

/**
 * Lets everybody pass `SessionGuard`: no session is looked for. On a handler, or on a class for all handlers of it and of classes derived from it. With a name: lets
 * everybody pass `SessionGuardFor(name)`.
 *
 * @example `@Public() @Post('login')`
 */
export function Public(name?: string): MethodDecorator & ClassDecorator {
  return SetMetadata(publicKey(name), true);
}

function publicKey(name: string | undefined): string {
  return name === undefined ? PUBLIC : `${PUBLIC}: ${name}`;
}

/**
 * Lets a session in only if its subject was authenticated within that time, for a step-up before what is dangerous. Others are
 * answered 401 with `error="insufficient_user_authentication"` (RFC 9470); `sessions.reauthenticate` or a new login mends that. A guard
 * that the handler or its class is `@Public` for does not look at it.
 *
 * @throws CacheArgumentError (when the class is defined) for what is no duration
 * @example `@RequireFresh('5m') @Post('password')`
 */
export function RequireFresh(within: Duration): MethodDecorator & ClassDecorator {
  if (toMilliseconds(within) === undefined) throw new CacheArgumentError(`RequireFresh: ${durationProblem(within)}`);
  return SetMetadata(FRESH, within);
}

/** The session that the guard has found; `undefined` on a `@Public()` handler. @example `me(@CurrentSession() session: Session<Data>)` */
export const CurrentSession = createParamDecorator((_: unknown, context: ExecutionContext) => {
  return findingOf(context)?.session;
});

/**
 * The token that came with the request, for `regenerate`, `revokeToken` and `revokeOthers`. On a `@Public()` handler nobody has asked
 * whether it leads to a session; it is `undefined` there if there is none, or if the request comes from a foreign page.
 *
 * @example `@Post('logout') logout(@SessionToken() token: string) { return this.sessions.revokeToken(token); }`
 */
export const SessionToken = createParamDecorator((_: unknown, context: ExecutionContext) => {
  return findingOf(context)?.token;
});

/**
 * Lets requests with a session in: HTTP, GraphQL, WebSocket and RPC. One `get` of the store for each.
 *
 * | what there is                                        | answer                                                       |
 * | ---------------------------------------------------- | ------------------------------------------------------------ |
 * | no session                                           | 401, or its kind in GraphQL, WebSocket and RPC               |
 * | a session, but its login is too long ago             | 401 with `error="insufficient_user_authentication", max_age` |
 * | a cookie of ours, sent by the page of somebody else  | 403                                                          |
 * | an outage                                            | CacheUnavailableError passes through: CacheUnavailableFilter |
 * | a record that cannot be read                         | 401, and an error line, at most one a minute and `Sessions`  |
 *
 * A session of nobody (`create(null, …)`, before a login) is let in as any other: a handler looks at `session.subject`, or has
 * `@RequireFresh`. Where the token is found is the option `from` of `sessions`. Of several guards before one handler, `@CurrentSession()`
 * gives the session of the last one that the handler is not `@Public` for.
 *
 * @example
 * ```ts
 * providers: [{ provide: APP_GUARD, useClass: SessionGuard }, { provide: APP_FILTER, useClass: CacheUnavailableFilter }]
 * ```
 */
@Injectable()
export class SessionGuard implements CanActivate {
  /** Of the sessions that it asks. */
  protected readonly name: string | undefined;
  readonly #sessions: Sessions;
  readonly #reflector: Reflector;
  readonly #logger = new Logger(SessionGuard.name);

  constructor(@Inject(Sessions) sessions: Sessions, @Inject(Reflector) reflector: Reflector) {
    this.#sessions = sessions;
    this.#reflector = reflector;
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const [isPublic, within] = [
      this.#metadata<boolean>(publicKey(this.name), context),
      this.#metadata<Duration>(FRESH, context),
    ];
    const sent = await this.#sessions.sockets.findToken(context);
    if (isPublic) {
      if (sent !== 'forbidden') this.#leave({ by: this.name, token: sent.token }, context);
      return true;
    }
    if (sent === 'forbidden') return refuse({ kind: 'forbidden' }, context);
    const session = sent.token === undefined ? undefined : await this.#read(sent.token);
    if (!session) return refuse({ kind: 'unauthorized' }, context);
    if (within !== undefined && !session.isFresh(within)) {
      return refuse({ kind: 'stale', maxAge: Math.floor((toMilliseconds(within) ?? 0) / 1000) }, context);
    }
    setFinding(context, { by: this.name, session, token: sent.token });
    return true;
  }

  /** Leaves a token without a session to the handler, unless another guard has found the session that the handler asks for. */
  #leave(sent: Found, context: ExecutionContext): void {
    const other = findingOf(context);
    if (!other?.session || other.by === sent.by) setFinding(context, sent);
  }

  async #read(token: string): Promise<Session | undefined> {
    try {
      return await this.#sessions.get(token);
    } catch (error) {
      if (!(error instanceof CacheCorruptError)) throw error;
      this.#report(error);
      return undefined;
    }
  }

  #report(error: CacheCorruptError): void {
    if (now() - (reportedAt.get(this.#sessions) ?? -Infinity) < REPORT_PAUSE) return;
    reportedAt.set(this.#sessions, now());
    this.#logger.error(`a session cannot be read, and its user is answered 401: ${error.message}`);
  }

  #metadata<T>(key: string | symbol, context: ExecutionContext): T | undefined {
    return this.#reflector.getAllAndOverride<T | undefined>(key, [context.getHandler(), context.getClass()]);
  }
}

const namedGuards = new Map<string, Type<CanActivate>>();

/** The guard of the sessions with that name. @example `@UseGuards(SessionGuardFor('admin'))` */
export function SessionGuardFor(name: string): Type<CanActivate> {
  const known = namedGuards.get(name);
  if (known) return known;
  @Injectable()
  class NamedSessionGuard extends SessionGuard {
    protected override readonly name = name;

    constructor(@InjectSessions(name) sessions: Sessions, @Inject(Reflector) reflector: Reflector) {
      super(sessions, reflector);
    }
  }
  namedGuards.set(name, NamedSessionGuard);
  return NamedSessionGuard;
}

async function refuse(refusal: Refusal, context: ExecutionContext): Promise<never> {
  throw await refusalOf(refusal, context);
}

/** The object that belongs to one request, and is there for the guard and for the decorators of parameters. */
function carrierOf(context: ExecutionContext): object {
  switch (context.getType<ContextType | 'graphql'>()) {
    case 'graphql':
      return context.getArgByIndex<object>(2);
    case 'rpc':
      return context.switchToRpc().getContext<object>();
    case 'ws':
      return context.switchToWs().getClient<object>();
    default:
      return context.switchToHttp().getRequest<object>();
  }
}
