import { writeFileSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { findChromium } from '../../scripts/processes.mjs';
import { RedisServer } from '../../test/support/redis-server.js';
import { SampleApp } from './sample-app.js';

const executablePath = findChromium();
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

// Where they are skipped, their names say why.
const withChromium = executablePath === undefined ? describe.skip : describe;

withChromium(
  'in Chromium, which has to be installed: the pages of the sample, in two browsers over two instances',
  () => {
    let server: RedisServer;
    let instances: SampleApp[];
    let chrome: Browser;
    let contexts: BrowserContext[] = [];

    beforeAll(async () => {
      server = await RedisServer.start();
      instances = await Promise.all([1, 2].map(() => SampleApp.start({ REDIS_URL: server.url })));
      chrome = await chromium.launch({ executablePath: executablePath ?? '', args: FLAGS });
    }, 60_000);
    afterEach(async () => {
      await Promise.all(contexts.map((context) => context.close()));
      contexts = [];
    });
    afterAll(async () => {
      await chrome.close();
      await Promise.all(instances.map(({ app }) => app.close()));
      await server.stop();
    });

    async function signIn(instance: number, userAgent: string): Promise<Page> {
      const context = await chrome.newContext({ userAgent, viewport: { width: 720, height: 480 } });
      contexts.push(context);
      const page = await context.newPage();
      await page.goto(instances[instance]?.url ?? '');
      await page.getByLabel('Name').fill('ada');
      await page.getByLabel('Password').fill('lovelace');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { name: 'Hello, ada' }).waitFor();
      return page;
    }

    it('one sees the other, and signs it out, which the other notices at its next request', async () => {
      const laptop = await signIn(0, 'Firefox on Linux');
      const phone = await signIn(1, 'Safari on iPhone');
      await laptop.reload();
      const other = laptop.getByRole('listitem').filter({ hasText: 'Safari on iPhone' });
      await other.waitFor();
      const screenshot = await laptop.screenshot();
      expect(screenshot.subarray(1, 4).toString()).toBe('PNG');
      if (process.env['SCREENSHOT']) writeFileSync(process.env['SCREENSHOT'], screenshot);
      await other.getByRole('button', { name: 'Sign out' }).click();
      await expect(other.count()).resolves.toBe(0);
      await phone.reload();
      await phone.getByRole('button', { name: 'Sign in' }).waitFor();
      await laptop.reload();
      await laptop.getByRole('heading', { name: 'Hello, ada' }).waitFor();
    }, 60_000);

    it('one signs out all others', async () => {
      const laptop = await signIn(0, 'Firefox on Linux');
      const [phone, tablet] = [await signIn(1, 'Safari on iPhone'), await signIn(0, 'Chrome on Android')];
      await laptop.reload();
      await laptop.getByRole('button', { name: 'Sign out all others' }).click();
      await laptop.getByText('this device').waitFor();
      await expect(laptop.getByRole('listitem').count()).resolves.toBe(1);
      for (const page of [phone, tablet]) {
        await page.reload();
        await page.getByRole('button', { name: 'Sign in' }).waitFor();
      }
    }, 60_000);

    it('shows what somebody put into a header as text', async () => {
      const page = await signIn(0, '<img src=x onerror=alert(1)>');
      await page.getByText('<img src=x onerror=alert(1)>').waitFor();
      await expect(page.locator('img').count()).resolves.toBe(0);
    }, 60_000);
  },
);
