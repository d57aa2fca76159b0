import { Catch, HttpStatus, UnauthorizedException } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { TooManyAttemptsError } from 'nestjs-redis-cache-store/auth';
import type { Response } from './session-cookie.js';

/** 429 tells the client when to come back. */
@Catch(TooManyAttemptsError)
export class TooManyAttemptsFilter implements ExceptionFilter<TooManyAttemptsError> {
  catch({ retryAfter }: TooManyAttemptsError, host: ArgumentsHost): void {
    const statusCode = HttpStatus.TOO_MANY_REQUESTS;
    const response = host.switchToHttp().getResponse<Response>();
    response.header('Retry-After', String(Math.ceil(retryAfter / 1000)));
    response.status(statusCode).send({ statusCode, message: 'Too Many Requests' });
  }
}

/** Whoever uses a page without a session is led to the login; with a login that is too old, to the password prompt. */
@Catch(UnauthorizedException)
export class LoginPageFilter implements ExceptionFilter<UnauthorizedException> {
  catch(_: UnauthorizedException, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<Response>();
    const challenge = response.getHeader('WWW-Authenticate');
    const isStale = String(challenge).includes('insufficient_user_authentication');
    response.redirect(HttpStatus.SEE_OTHER, isStale ? '/confirm' : '/');
  }
}
