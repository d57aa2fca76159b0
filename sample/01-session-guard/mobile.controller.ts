import {
  Body,
  Controller,
  Get,
  HttpCode,
  HttpStatus,
  Ip,
  Post,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import {
  CurrentSession,
  InjectSessions,
  Public,
  RefreshTokens,
  type Session,
  SessionGuardFor,
  Sessions,
} from 'nestjs-redis-cache-store/auth';
import { z } from 'zod';
import { credentials, SignIn } from './sign-in.js';
import { Users } from './users.js';

const refreshToken = z.object({ refreshToken: z.string().max(300) });

/** An API for a mobile client: a session of 15 minutes as a bearer token, and a refresh token for the next one. */
@Public() // for the guard of browsers
@UseGuards(SessionGuardFor('mobile'))
@Controller('mobile')
export class MobileController {
  constructor(
    @InjectSessions('mobile') private readonly sessions: Sessions,
    private readonly refreshTokens: RefreshTokens,
    private readonly users: Users,
    private readonly signIn: SignIn,
  ) {}

  @Public('mobile')
  @Post('login')
  async login(@Body({ schema: credentials }) { name, password }: z.infer<typeof credentials>, @Ip() address: string) {
    const user = await this.signIn.check(name, password, address);
    if (!user) throw new UnauthorizedException();
    const tokens = {
      token: (await this.sessions.create(user.id, {})).token,
      refreshToken: await this.refreshTokens.issue(user.id, {}),
    };
    if (this.users.findById(user.id) === user) return tokens;
    await this.sessions.revokeToken(tokens.token);
    await this.refreshTokens.revoke(tokens.refreshToken);
    throw new UnauthorizedException();
  }

  /** A client that got no answer sends the same refresh token again, and gets the same successor. */
  @Public('mobile')
  @Post('refresh')
  async refresh(@Body({ schema: refreshToken }) body: z.infer<typeof refreshToken>) {
    const rotation = await this.refreshTokens.rotate(body.refreshToken);
    if (rotation.outcome === 'reused' || rotation.outcome === 'unknown') throw new UnauthorizedException();
    const { token } = await this.sessions.create(rotation.subject, {});
    return { token, refreshToken: rotation.token };
  }

  @Get('me')
  me(@CurrentSession() { subject, expiresAt }: Session) {
    return { name: this.users.findById(subject)?.name, expiresAt };
  }

  @Post('logout')
  @HttpCode(HttpStatus.NO_CONTENT)
  async logout(
    @CurrentSession() { subject, id }: Session,
    @Body({ schema: refreshToken }) body: z.infer<typeof refreshToken>,
  ) {
    await this.refreshTokens.revoke(body.refreshToken);
    if (subject !== null) await this.sessions.revoke(subject, id);
  }
}
