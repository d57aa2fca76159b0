import { Catch, HttpStatus, UnauthorizedException } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import type { Response } from './session-cookie.js';

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
