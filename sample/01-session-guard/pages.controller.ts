import { Body, Controller, Get, Header, Headers, HttpStatus, Ip, Param, Post, Res, UseFilters } from '@nestjs/common';
import { CurrentSession, Public, type Session, Sessions, SessionToken } from 'nestjs-redis-cache-store/auth';
import { z } from 'zod';
import { LoginPageFilter } from './filters.js';
import { accountPage, loginPage, HTML } from './pages.js';
import { SessionCookie, type Response } from './session-cookie.js';
import { credentials, SignIn } from './sign-in.js';
import { Users } from './users.js';

/** The login, and "your devices". */
@Controller()
@UseFilters(LoginPageFilter)
export class PagesController {
  constructor(
    private readonly sessions: Sessions,
    private readonly users: Users,
    private readonly signIn: SignIn,
    private readonly cookie: SessionCookie,
  ) {}

  @Public()
  @Get()
  @Header('Content-Type', HTML)
  async index(@SessionToken() token: string | undefined) {
    const session = token === undefined ? undefined : await this.sessions.get(token);
    const user = this.users.findById(session?.subject);
    if (!session || !user) return loginPage();
    return accountPage(user.name, await this.sessions.list(user.id), session.id);
  }

  @Public()
  @Post('login')
  async login(
    @Body({ schema: credentials }) { name, password }: z.infer<typeof credentials>,
    @SessionToken() before: string | undefined,
    @Headers('user-agent') device = 'unknown',
    @Ip() address: string,
    @Res() response: Response,
  ) {
    const user = await this.signIn.check(name, password, address);
    if (!user) {
      response.status(HttpStatus.UNAUTHORIZED).header('Content-Type', HTML).send(loginPage('Wrong name or password'));
      return;
    }
    // A token from before the login is worth nothing after it.
    if (before !== undefined) await this.sessions.revokeToken(before);
    const { token } = await this.sessions.create(user.id, {}, { device: device.slice(0, 200), address });
    // A password reset may have ended all sessions since the old password was checked, too early for this one.
    if (this.users.findById(user.id) !== user) await this.sessions.revokeToken(token);
    this.cookie.set(response, token);
    response.redirect(HttpStatus.SEE_OTHER, '/');
  }

  /** Once this is answered the session is gone; a request in flight does not bring it back. */
  @Post('logout')
  async logout(@SessionToken() token: string, @Res() response: Response) {
    await this.sessions.revokeToken(token);
    this.cookie.clear(response);
    response.redirect(HttpStatus.SEE_OTHER, '/');
  }

  @Post('devices/others/sign-out')
  async signOutOthers(@SessionToken() token: string, @Res() response: Response) {
    await this.sessions.revokeOthers(token);
    response.redirect(HttpStatus.SEE_OTHER, '/');
  }

  @Post('devices/:id/sign-out')
  async signOut(@Param('id') id: string, @CurrentSession() { subject }: Session, @Res() response: Response) {
    if (subject !== null) await this.sessions.revoke(subject, id);
    response.redirect(HttpStatus.SEE_OTHER, '/');
  }
}
