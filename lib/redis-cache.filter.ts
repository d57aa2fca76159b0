import type { ServerResponse } from 'node:http';
import { Catch, HttpStatus } from '@nestjs/common';
import type { ArgumentsHost, ContextType, ExceptionFilter } from '@nestjs/common';
import { throwError } from 'rxjs';
import { CacheUnavailableError } from './redis-cache.errors.js';

const MESSAGE = 'Service Unavailable';
const CODE = 'SERVICE_UNAVAILABLE';
/** In seconds. A connection that is lost comes back within 2 s of its server. */
const RETRY_AFTER = 1;
/** The status UNAVAILABLE of gRPC, which clients are told to retry. */
const GRPC_UNAVAILABLE = 14;

/** The methods that the responses of Express and of Fastify have in common. */
interface HttpResponse {
  header(name: string, value: string): this;
  status(code: number): this;
  send(body: object): unknown;
}

/** `raw` is Fastify's; a middleware of a Fastify application is given Node's response. */
type AnyResponse = (HttpResponse | ServerResponse) & { readonly raw?: ServerResponse };

type AnyClient = {
  readonly readyState?: unknown;
  send(message: string): void;
  emit(event: string, payload: object): void;
};

/**
 * Answers an outage of Redis in every kind of Nest application. It catches CacheUnavailableError and nothing else.
 *
 * | application                     | answer                                                                                  |
 * | ------------------------------- | --------------------------------------------------------------------------------------- |
 * | HTTP, on Express and on Fastify | 503 with `Retry-After: 1`                                                               |
 * | GraphQL                         | an error with `extensions: { code: 'SERVICE_UNAVAILABLE', retryAfter: 1 }`              |
 * | RPC (microservices)             | the error `{ status: 'error', message, code: 'SERVICE_UNAVAILABLE', retryAfter: 1 }`    |
 * | gRPC                            | status 14, UNAVAILABLE                                                                  |
 * | WebSocket, Socket.IO and ws     | the event `exception` with the same object as RPC                                       |
 *
 * Nest applies global filters to HTTP and GraphQL. A hybrid application needs `connectMicroservice(…, { inheritAppConfig: true })`; a WebSocket
 * gateway needs `@UseFilters(CacheUnavailableFilter)`.
 *
 * @example
 * ```ts
 * @Module({ providers: [{ provide: APP_FILTER, useClass: CacheUnavailableFilter }] })
 * export class AppModule {}
 *
 * app.useGlobalFilters(new CacheUnavailableFilter()); // or so
 * ```
 */
@Catch(CacheUnavailableError)
export class CacheUnavailableFilter implements ExceptionFilter<CacheUnavailableError> {
  /** @returns what Nest expects of a filter in this kind of application */
  catch(_: CacheUnavailableError, host: ArgumentsHost): unknown {
    switch (host.getType<ContextType | 'graphql'>()) {
      case 'http':
        return answerHttp(host.switchToHttp().getResponse<AnyResponse>());
      case 'graphql':
        return Object.assign(new Error(MESSAGE), { extensions: { code: CODE, retryAfter: RETRY_AFTER } });
      case 'rpc':
        return throwError(() => rpcError(host.switchToRpc().getContext<unknown>()));
      case 'ws':
        return answerClient(host.switchToWs().getClient<AnyClient>());
      default:
        return undefined; // a kind that this package does not know: Nest passes the error on
    }
  }
}

function answerHttp(response: AnyResponse): void {
  const raw = response.raw ?? response;
  const body = { statusCode: HttpStatus.SERVICE_UNAVAILABLE, message: MESSAGE };
  if ('headersSent' in raw && raw.headersSent) {
    raw.end();
  } else if ('send' in response) {
    response.header('Retry-After', `${RETRY_AFTER}`).status(body.statusCode).send(body);
  } else {
    const headers = { 'Retry-After': RETRY_AFTER, 'Content-Type': 'application/json; charset=utf-8' };
    response.writeHead(body.statusCode, headers).end(JSON.stringify(body));
  }
}

function rpcError(context: unknown): object {
  // Only gRPC's context, its metadata, has this method.
  const isGrpc = typeof (context as { getMap?: unknown } | undefined)?.getMap === 'function';
  return isGrpc ? { code: GRPC_UNAVAILABLE, message: MESSAGE } : payload();
}

function answerClient(client: AnyClient): void {
  // Both kinds have `send` and `emit`. Of a native WebSocket, `emit` reaches nobody but this process.
  if (typeof client.readyState === 'number') client.send(JSON.stringify({ event: 'exception', data: payload() }));
  else client.emit('exception', payload());
}

function payload(): object {
  return { status: 'error', message: MESSAGE, code: CODE, retryAfter: RETRY_AFTER };
}
