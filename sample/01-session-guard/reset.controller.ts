import { randomBytes } from 'node:crypto';
import { BadRequestException, Body, Controller, Get, Header, Headers, HttpStatus, Post, Res } from '@nestjs/common';
import { InjectSessions, OneTimeCodes, Public, RefreshTokens, Sessions } from 'nestjs-redis-cache-store/auth';
import { z } from 'zod';
import { Mail } from './mail.js';
import { codePage, HTML, resetPage } from './pages.js';
import type { Response } from './session-cookie.js';
import { Users } from './users.js';

const PURPOSE = 'password-reset';
const COOKIE = 'reset';

const request = z.object({ name: z.string().max(100) });
const confirmation = z.object({
  name: z.string().max(100),
  code: z.string().regex(/^\d{6}$/),
  password: z.string().min(8).max(200),
});

/** A forgotten password: a code by mail. */
@Public()
@Controller('reset')
export class ResetController {
  constructor(
    private readonly codes: OneTimeCodes,
    private readonly sessions: Sessions,
    @InjectSessions('mobile') private readonly mobileSessions: Sessions,
    private readonly refreshTokens: RefreshTokens,
    private readonly users: Users,
    private readonly mail: Mail,
  ) {}

  @Get()
  @Header('Content-Type', HTML)
  form() {
    return resetPage();
  }

  /** The same work and answer for every name: nobody learns here who has an account. */
  @Post()
  async request(@Body({ schema: request }) { name }: z.infer<typeof request>, @Res() response: Response) {
    // The code is bound to this browser, so that a stranger who knows the name cannot use up its guesses.
    const bind = randomBytes(16).toString('base64url');
    const code = await this.codes.issue(PURPOSE, name, undefined, { bind });
    const user = this.users.findByName(name);
    if (user) this.mail.send(user.name, `Your code is ${code}. It is good for 10 minutes.`);
    response.cookie(COOKIE, bind, { httpOnly: true, sameSite: 'strict', path: '/reset' });
    response.header('Content-Type', HTML).send(codePage(name));
  }

  /** `none` and `wrong` look alike to strangers. */
  @Post('confirm')
  async confirm(
    @Body({ schema: confirmation }) { name, code, password }: z.infer<typeof confirmation>,
    @Headers('cookie') cookies: string | undefined,
    @Res() response: Response,
  ) {
    const bind = new RegExp(`(?:^|; )${COOKIE}=([\\w-]+)`).exec(cookies ?? '')?.[1];
    const { outcome } = await this.codes.redeem(PURPOSE, name, code, bind === undefined ? {} : { bind });
    const user = this.users.findByName(name);
    if (outcome !== 'ok' || !user) throw new BadRequestException('The code is wrong, used or expired');
    await this.users.changePassword(user.id, password);
    // Whoever knew the old password is out.
    await this.sessions.revokeAll(user.id);
    await this.mobileSessions.revokeAll(user.id);
    await this.refreshTokens.revokeAll(user.id);
    response.redirect(HttpStatus.SEE_OTHER, '/');
  }
}
