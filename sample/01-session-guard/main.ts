import { ConfigService } from '@nestjs/config';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule);
// SIGTERM and Ctrl-C: requests in flight are answered, then the connection to Redis is closed.
app.enableShutdownHooks();

const port = app.get(ConfigService).get<string>('PORT', '3000');
await app.listen(port);

const url = `http://localhost:${port}`;
const withSession = '-H "Authorization: Bearer $SESSION"';
console.log(`
The sample listens on ${url}. To try, in another terminal:

  # log in; a second login is a second session
  SESSION=$(curl -s ${url}/login -d name=ada -d password=lovelace | cut -d'"' -f4)
  curl ${url}/me ${withSession}
  curl ${url}/sessions ${withSession}
  curl ${url}/admin/sessions ${withSession}

  # stop this, start it again: the session is still there
  curl ${url}/me ${withSession}

  # sign out everywhere but here; log out
  curl -X DELETE ${url}/sessions ${withSession}
  curl -i -X POST ${url}/logout ${withSession}

  # forgot the password: the token works once, and ends all sessions
  TOKEN=$(curl -s ${url}/password-reset -d name=ada | cut -d'"' -f4)
  curl -i ${url}/password-reset/confirm -d token=$TOKEN -d password=analytical
  curl -i ${url}/password-reset/confirm -d token=$TOKEN -d password=analytical
`);
