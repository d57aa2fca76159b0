import { ForbiddenException, UnauthorizedException } from '@nestjs/common';
import type { ContextType, ExecutionContext } from '@nestjs/common';

/** Why a guard lets nobody in. `maxAge`: how long ago the login may be, in seconds. */
export type Refusal =
  | { readonly kind: 'unauthorized' }
  | { readonly kind: 'forbidden' }
  | { readonly kind: 'stale'; readonly maxAge: number };

/** What RFC 9470 calls a session whose login was too long ago. */
const STALE = 'insufficient_user_authentication';

/** The answer in each kind of application. */
interface Answer {
  readonly message: string;
  readonly code: 'UNAUTHENTICATED' | 'FORBIDDEN';
  /** RFC 6750 and RFC 9470. */
  readonly challenge?: string;
  /** For whom has no headers. */
  readonly details?: { readonly error: string; readonly maxAge: number };
}

/** The exception that tells the client, in the application's own kind of exception. */
export async function refusalOf(refusal: Refusal, context: ExecutionContext): Promise<Error> {
  const answer = answerTo(refusal);
  const { message, code, details } = answer;
  switch (context.getType<ContextType | 'graphql'>()) {
    case 'ws': {
      const { WsException } = await import('@nestjs/websockets');
      return new WsException({ status: 'error', message, code, ...details });
    }
    case 'rpc': {
      const { RpcException } = await import('@nestjs/microservices');
      return new RpcException({ status: 'error', message, code, ...details });
    }
    case 'http': {
      const response = context.switchToHttp().getResponse<{ header(name: string, value: string): unknown }>();
      if (answer.challenge !== undefined) response.header('WWW-Authenticate', answer.challenge);
      return exceptionOf(answer);
    }
    default:
      return Object.assign(exceptionOf(answer), { extensions: { code, ...details } });
  }
}

function exceptionOf({ code, message }: Answer): Error {
  return code === 'FORBIDDEN' ? new ForbiddenException(message) : new UnauthorizedException(message);
}

function answerTo(refusal: Refusal): Answer {
  if (refusal.kind === 'forbidden') return { message: 'The request comes from another site', code: 'FORBIDDEN' };
  if (refusal.kind === 'unauthorized') {
    return { message: 'Unauthorized', code: 'UNAUTHENTICATED', challenge: 'Bearer' };
  }
  const { maxAge } = refusal;
  const message = 'A more recent login is required';
  const challenge = `Bearer error="${STALE}", error_description="${message}", max_age=${maxAge}`;
  return { message, code: 'UNAUTHENTICATED', challenge, details: { error: STALE, maxAge } };
}
