import { Body, Controller, Get, Header, HttpStatus, Ip, Post, Res, UseFilters } from '@nestjs/common';
import { CurrentSession, RequireFresh, type Session, Sessions, SessionToken } from 'nestjs-redis-cache-store/auth';
import { z } from 'zod';
import { LoginPageFilter } from './filters.js';
import { confirmPage, HTML, passwordPage } from './pages.js';
import { SessionCookie, type Response } from './session-cookie.js';
import { SignIn } from './sign-in.js';
import { Users } from './users.js';

const current = z.object({ password: z.string().max(200) });
export const newPassword = z.object({ password: z.string().min(8).max(200) });

/** Changing the password, which needs a login of the last five minutes. */
@Controller()
@UseFilters(LoginPageFilter)
export class PasswordController {
  constructor(
    private readonly sessions: Sessions,
    private readonly users: Users,
    private readonly signIn: SignIn,
    private readonly cookie: SessionCookie,
  ) {}

  @RequireFresh('5m')
  @Get('password')
  @Header('Content-Type', HTML)
  form() {
    return passwordPage();
  }

  /** Ends every other session, and gives this one a new token: whoever has learned the old one is out. */
  @RequireFresh('5m')
  @Post('password')
  async change(
    @Body({ schema: newPassword }) { password }: z.infer<typeof newPassword>,
    @CurrentSession() { subject }: Session,
    @SessionToken() token: string,
    @Res() response: Response,
  ) {
    const user = this.users.findById(subject);
    if (user) await this.users.changePassword(user.id, password);
    await this.sessions.revokeOthers(token);
    const next = await this.sessions.regenerate(token);
    if (next) this.cookie.set(response, next.token);
    response.redirect(HttpStatus.SEE_OTHER, '/');
  }

  @Get('confirm')
  @Header('Content-Type', HTML)
  confirmForm() {
    return confirmPage();
  }

  /** The step-up: the password once more. */
  @Post('confirm')
  async confirm(
    @Body({ schema: current }) { password }: z.infer<typeof current>,
    @CurrentSession() { subject }: Session,
    @SessionToken() token: string,
    @Ip() address: string,
    @Res() response: Response,
  ) {
    const user = this.users.findById(subject);
    if (user && (await this.signIn.check(user.name, password, address))) {
      await this.sessions.reauthenticate(token);
      response.redirect(HttpStatus.SEE_OTHER, '/password');
    } else {
      response.status(HttpStatus.UNAUTHORIZED).header('Content-Type', HTML).send(confirmPage('Wrong password'));
    }
  }
}
