import type { AddressInfo } from 'node:net';
import type { INestApplication } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import { SILENT } from '../../test/support/cache-app.js';
import { AppModule } from './app.module.js';
import { Mail } from './mail.js';

type Method = 'get' | 'post';

/** An instance of the sample, spoken to over HTTP. */
export class SampleApp {
  /** The codes that were sent by mail, the newest last. */
  readonly codes: string[] = [];

  static async start(config: Record<string, string>): Promise<SampleApp> {
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .overrideProvider(ConfigService)
      .useValue(new ConfigService(config))
      .setLogger(SILENT)
      .compile();
    const app = module.createNestApplication();
    await app.listen(0, '127.0.0.1');
    return new SampleApp(app);
  }

  private constructor(readonly app: INestApplication) {
    app.get(Mail).send = (_, text) => void this.codes.push(/\d{6}/.exec(text)?.[0] ?? '');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.app.getHttpServer().address() as AddressInfo).port}`;
  }

  /** A request of a page of ours, with the cookie of a session. */
  send(method: Method, path: string, cookie = '', body?: object) {
    const sent = request(this.app.getHttpServer())[method](path).set('User-Agent', 'a browser');
    if (cookie !== '') sent.set('Cookie', cookie);
    return sent.set('Sec-Fetch-Site', 'same-origin').send(body);
  }

  /** The cookie of a new session. */
  async login(name = 'ada', password = 'lovelace', before = ''): Promise<string> {
    const response = await this.send('post', '/login', before, { name, password });
    if (response.status !== 303) throw new Error(`the login was answered ${response.status}`);
    return cookieOf(response);
  }

  async statusOfMe(cookie: string): Promise<number> {
    return (await this.send('get', '/me', cookie)).status;
  }

  /** A request of the mobile client. */
  mobile(method: Method, path: string, token = '', body?: object) {
    const sent = request(this.app.getHttpServer())[method](`/mobile${path}`);
    return (token === '' ? sent : sent.set('Authorization', `Bearer ${token}`)).send(body);
  }
}

/** The first cookie that a response sets, as a browser sends it back. */
export function cookieOf(response: { headers: Record<string, unknown> }): string {
  const [first = ''] = (response.headers['set-cookie'] ?? []) as string[];
  return first.split(';')[0] ?? '';
}
