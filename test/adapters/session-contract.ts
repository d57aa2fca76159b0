import type { INestApplication } from '@nestjs/common';
import { gate } from '../support/gate.js';
import { Stage } from '../support/stage.js';
import { Browser, COOKIE_AGE, SessionController } from './session-stage.js';

/** Two instances of an application on one Redis, and a browser. */
export class Instances {
  browser = new Browser();

  static async start(start: (url: string) => Promise<INestApplication>): Promise<Instances> {
    const stage = await Stage.redis();
    return new Instances(stage, await Promise.all([start(stage.url), start(stage.url)]));
  }

  private constructor(
    readonly stage: Stage,
    private readonly apps: INestApplication[],
  ) {}

  app(i: number): INestApplication {
    return this.apps[i] as INestApplication;
  }

  async keys(): Promise<string[]> {
    return (await this.stage.server.cli('KEYS', '*')) as string[];
  }

  async reset(): Promise<void> {
    await this.stage.server.cli('FLUSHALL');
    this.browser = new Browser();
    SessionController.arrived = gate();
    SessionController.leave = gate();
  }

  async stop(): Promise<void> {
    await Promise.all(this.apps.map((app) => app.close()));
    await this.stage.stop();
  }
}

/** What holds of sessions, whichever package makes them. Gives the instances, once they run. */
export function sessionContract(start: (url: string) => Promise<INestApplication>): () => Instances {
  let instances: Instances;
  beforeAll(async () => {
    instances = await Instances.start(start);
  });
  beforeEach(() => instances.reset());
  afterEach(() => instances.stage.clean());
  afterAll(() => instances.stop());

  it('keeps a session over two instances, and makes none for a visitor for whom nothing is stored', async () => {
    const { browser } = instances;
    await browser.ask(instances.app(0), 'get', '/');
    expect(await instances.keys()).toEqual([]);
    for (const i of [0, 1, 0]) await browser.ask(instances.app(i), 'post', '/visit');
    expect((await browser.ask(instances.app(1), 'get', '/')).body).toEqual({ visits: 3 });
    expect(await instances.keys()).toHaveLength(1);
  });

  it('gives a session a new id and no data of the old one at login', async () => {
    const { browser } = instances;
    await browser.ask(instances.app(0), 'post', '/visit');
    const { cookie } = browser;
    const old = await instances.keys();
    await browser.ask(instances.app(1), 'post', '/login?user=ann');
    expect(browser.cookie).not.toBe(cookie);
    expect((await browser.ask(instances.app(0), 'get', '/')).body).toEqual({ user: 'ann' });
    const keys = await instances.keys();
    expect(keys).toHaveLength(1);
    expect(keys).not.toEqual(old);
  });

  it('does not revive a session that is destroyed while a slow request holds it', async () => {
    const { browser } = instances;
    await browser.ask(instances.app(0), 'post', '/login?user=ann');
    const slow = browser.ask(instances.app(0), 'post', '/slow');
    await SessionController.arrived.promise;
    await Object.assign(new Browser(), { cookie: browser.cookie }).ask(instances.app(1), 'post', '/logout');
    SessionController.leave.open();
    await slow;
    expect(await instances.keys()).toEqual([]);
  });

  it('extends a session with every request, and ends it with its cookie', async () => {
    const { browser, stage } = instances;
    await browser.ask(instances.app(0), 'post', '/login?user=ann');
    for (let i = 0; i < 3; i++) {
      await stage.pass(COOKIE_AGE * 0.6);
      expect((await browser.ask(instances.app(i % 2), 'get', '/')).body).toEqual({ user: 'ann' });
    }
    await stage.pass(COOKIE_AGE + 1000);
    expect((await browser.ask(instances.app(0), 'get', '/')).body).toEqual({});
  });

  return () => instances;
}
