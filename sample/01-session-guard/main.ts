import { ConfigService } from '@nestjs/config';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule);
// SIGTERM and Ctrl-C: requests in flight are answered, then the connection to Redis is closed.
app.enableShutdownHooks();

const port = app.get(ConfigService).get<string>('PORT', '3000');
await app.listen(port);

const url = `http://localhost:${port}`;
console.log(`
The sample listens on ${url}. Open it in two browsers, and sign in as ada with the password lovelace
(or as bob, builder1): each sees the other among its devices, and can sign it out. Mails are printed here.

The API of a mobile client, in another terminal:

  # sign in: a token for 15 minutes, and a refresh token for the next one
  curl -s ${url}/mobile/login -d name=ada -d password=lovelace
  curl ${url}/mobile/me -H "Authorization: Bearer $TOKEN"
  curl -s ${url}/mobile/refresh -d refreshToken=$REFRESH

  # without a session
  curl -i ${url}/me
`);
