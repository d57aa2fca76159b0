import type { SessionsOptions } from 'nestjs-redis-cache-store/auth';
import { GuardStage } from './guard-stage.js';

const COOKIE = '__Host-session';
const HOST = 'app.example.com';
const OURS = `https://${HOST}`;
const FRIEND = 'https://admin.example.com';

describe('SessionGuard, with a cookie,', () => {
  let stage: GuardStage;

  beforeAll(async () => (stage = await GuardStage.start()));
  afterAll(() => stage.stop());
  afterEach(() => stage.close());

  async function start(options: Partial<SessionsOptions>): Promise<void> {
    await stage.open(options);
    await stage.listen();
  }

  const origins = [FRIEND];

  it.each([
    ['a page of ours, as the browser says', { 'Sec-Fetch-Site': 'same-origin' }, 201],
    ['the address bar or a bookmark', { 'Sec-Fetch-Site': 'none' }, 201],
    ['a page of ours, as its Origin says', { Origin: OURS }, 201],
    ['a page of a friend', { Origin: FRIEND, 'Sec-Fetch-Site': 'same-site' }, 201],
    ['a page of somebody else', { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' }, 403],
    ['another page of the same site', { 'Sec-Fetch-Site': 'same-site' }, 403],
    [
      'a page of our host that came over another scheme',
      { Origin: `http://${HOST}`, 'Sec-Fetch-Site': 'cross-site' },
      403,
    ],
    ['a page without an origin', { Origin: 'null' }, 403],
    ['a page whose host only begins like ours', { Origin: `${OURS}.evil.example` }, 403],
    ['a client that says nothing', {}, 403],
  ])('answers a change asked for by %s', async (_, headers, expected) => {
    await start({ from: { cookie: COOKIE, origins } });
    const cookie = `theme=dark; ${COOKIE}=${await stage.login()}; other=1`;
    const { status } = await stage.http.post('/note').set({ Host: 'app.example.com', Cookie: cookie, ...headers });
    expect(status).toBe(expected);
    const deleted = await stage.http.delete('/note').set({ Host: 'app.example.com', Cookie: cookie, ...headers });
    expect(deleted.status).toBe(expected === 201 ? 200 : 403);
  });

  it('lets reading requests in from everywhere', async () => {
    await start({ from: { cookie: COOKIE, origins } });
    const cookie = `${COOKIE}=${await stage.login()}`;
    const { status } = await stage.http.get('/me').set({ Cookie: cookie, 'Sec-Fetch-Site': 'cross-site' });
    expect(status).toBe(200);
  });

  it('hides the token of a cookie from a public handler that a foreign page has called', async () => {
    await start({ from: { cookie: COOKIE, origins } });
    const Cookie = `${COOKIE}=${await stage.login()}`;
    const foreign = await stage.http.post('/login').set({ Cookie, 'Sec-Fetch-Site': 'cross-site' });
    expect(foreign.body).toEqual({ session: null, token: null });
    const own = await stage.http.post('/login').set({ Cookie, 'Sec-Fetch-Site': 'same-origin' });
    expect(own.body.token).toHaveLength(43);
  });

  it('answers 401 to a request without the cookie, whatever its origin', async () => {
    await start({ from: { cookie: COOKIE } });
    const { status } = await stage.http.post('/note').set({ Cookie: `x${COOKIE}=1`, 'Sec-Fetch-Site': 'cross-site' });
    expect(status).toBe(401);
  });
});
