// A Nest application of one route, with one way of knowing who asks. argv: variant, Redis url, secret of the cookies.
import 'reflect-metadata';
import { Controller, Get, Module, UnauthorizedException, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RedisStore } from 'connect-redis';
import expressSession from 'express-session';
import { createClient } from 'redis';
import { RedisCacheModule, RedisCacheStore } from '../dist/index.js';

const [variant, url, secret] = process.argv.slice(2);

// Decorators, applied by hand: this is plain JavaScript.
class SessionGuard {
  constructor(sessions) {
    this.sessions = sessions;
  }
  async canActivate(context) {
    const request = context.switchToHttp().getRequest();
    const id = /^Bearer ([\w-]{43})$/.exec(request.headers.authorization ?? '')?.[1];
    const session = id && (await this.sessions.get(id));
    if (!session) throw new UnauthorizedException();
    request.session = session;
    return true;
  }
}
Reflect.defineMetadata('design:paramtypes', [RedisCacheStore], SessionGuard);

class ExpressSessionGuard {
  canActivate(context) {
    if (!context.switchToHttp().getRequest().session?.userId) throw new UnauthorizedException();
    return true;
  }
}

class AppController {
  index() {
    return { ok: true };
  }
}
Get()(AppController.prototype, 'index', Object.getOwnPropertyDescriptor(AppController.prototype, 'index'));
Controller()(AppController);

const ownGuard = variant === 'own' || variant === 'own-near';
if (ownGuard) UseGuards(SessionGuard)(AppController);
if (variant === 'express-session') UseGuards(ExpressSessionGuard)(AppController);

class AppModule {}
Module({
  imports: ownGuard ? [RedisCacheModule.forRoot({ url, namespace: 'http', nearCache: variant === 'own-near' })] : [],
  controllers: [AppController],
})(AppModule);

const app = await NestFactory.create(AppModule, { logger: ['error'] });
if (variant === 'express-session') {
  const client = createClient({ url });
  await client.connect();
  // Without touching, as the guards do: each request is one read.
  const store = new RedisStore({ client, prefix: 'http-express:', disableTouch: true });
  app.use(expressSession({ store, secret, resave: false, saveUninitialized: false }));
}
await app.listen(0, '127.0.0.1');
process.send({ port: app.getHttpServer().address().port });
process.on('disconnect', () => process.exit());
