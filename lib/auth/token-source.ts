import type { IncomingHttpHeaders } from 'node:http';
import type { ContextType, ExecutionContext } from '@nestjs/common';

/**
 * Where a guard finds the token of a session.
 *
 * - `'bearer'`: the header `Authorization: Bearer …`; with Socket.IO also `auth: { token }` of the client.
 * - `{ cookie }`: the cookie of that name. Requests that change something then have to come from a page of ours, or of one of
 *   `origins` (such as `'https://admin.example.com'`): a browser sends cookies along with requests of any page.
 * - a function, for all else: RPC has no headers.
 */
export type TokenSource =
  | 'bearer'
  | { readonly cookie: string; readonly origins?: readonly string[] }
  | ((context: ExecutionContext) => string | undefined);

/** The token of a request; or that the request comes from a page that may not send our cookie. */
export type FoundToken = { readonly token: string | undefined } | 'forbidden';

/** A request or a handshake, as far as it matters here. */
interface Caller {
  readonly method?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** Socket.IO: `auth` of the client. */
  readonly auth?: Readonly<Record<string, unknown>> | undefined;
}

/** A client of a WebSocket gateway, of which Socket.IO alone keeps the handshake. */
interface GatewayClient {
  readonly handshake?: Caller;
}

interface GraphQLContext {
  readonly req?: Caller;
  readonly request?: Caller;
  readonly extra?: { readonly request?: Caller };
}

/** Methods that by RFC 9110, 9.2.1, change nothing. */
const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS', 'TRACE'];

/** Finds the token that a request, message or handshake brings. */
export function findToken(source: TokenSource, context: ExecutionContext): FoundToken {
  if (typeof source === 'function') return { token: source(context) };
  const caller = callerOf(context);
  if (!caller) return { token: undefined };
  if (source === 'bearer') return { token: bearerOf(caller) };
  const token = cookieOf(caller.headers.cookie, source.cookie);
  if (token === undefined) return { token };
  const isHandshake = context.getType() === 'ws' || caller.headers.upgrade?.toLowerCase() === 'websocket';
  const isOurs = isHandshake ? isOurHandshake(caller, source.origins) : isOurRequest(caller, source.origins);
  return isOurs ? { token } : 'forbidden';
}

/** The request, or the handshake of the connection; `undefined` for RPC and for a `ws` client, which brings neither. */
function callerOf(context: ExecutionContext): Caller | undefined {
  switch (context.getType<ContextType | 'graphql'>()) {
    case 'http':
      return context.switchToHttp().getRequest<Caller>();
    case 'graphql': {
      const { req, request, extra } = context.getArgByIndex<GraphQLContext | undefined>(2) ?? {};
      return req?.headers ? req : (request ?? extra?.request);
    }
    case 'ws':
      // The second argument of `bind`: the request that a `ws` server was given.
      return context.switchToWs().getClient<GatewayClient>().handshake ?? withHeaders(context.getArgByIndex(1));
    default:
      return undefined;
  }
}

function withHeaders(value: unknown): Caller | undefined {
  return typeof value === 'object' && value !== null && 'headers' in value ? (value as Caller) : undefined;
}

function bearerOf({ headers, auth }: Caller): string | undefined {
  const found = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? auth?.['token'];
  return typeof found === 'string' ? found : undefined;
}

/** The first cookie of that name: browsers send the one of the longest path first (RFC 6265, 5.4). */
function cookieOf(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return undefined;
}

/**
 * Browsers say where a request comes from, and no page can make them say otherwise: https://www.w3.org/TR/fetch-metadata/
 * They alone know the scheme of our origin, so a host that is ours counts only if they say nothing.
 */
function isOurRequest({ method = 'GET', headers }: Caller, origins: readonly string[] | undefined): boolean {
  const site = headers['sec-fetch-site'];
  return (
    SAFE_METHODS.includes(method.toUpperCase()) ||
    site === 'same-origin' ||
    site === 'none' ||
    isListed(headers, origins) ||
    (site === undefined && isOfOurHost(headers))
  );
}

/**
 * A WebSocket is not held to the same origin, and can do all that the session can: it is never taken as harmless. Socket.IO may
 * begin with a plain GET of our own page, which has no `Origin`.
 */
function isOurHandshake({ headers }: Caller, origins: readonly string[] | undefined): boolean {
  if (headers.origin === undefined) return headers['sec-fetch-site'] === 'same-origin';
  return isListed(headers, origins) || isOfOurHost(headers);
}

function isListed({ origin }: IncomingHttpHeaders, origins: readonly string[] = []): boolean {
  return origin !== undefined && origins.includes(origin);
}

function isOfOurHost({ origin, host }: IncomingHttpHeaders): boolean {
  return origin !== undefined && URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
}
