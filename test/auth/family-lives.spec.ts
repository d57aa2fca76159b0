import { FamilyLife } from '../../lib/auth/family-lives.js';
import { Lifetime } from '../../lib/auth/lifetime.js';
import { DAY, SECOND } from './auth-stage.js';

const lifetime = new Lifetime(14 * DAY, 90 * DAY, () => Date.now());
const family = {
  subject: 'user:42',
  data: {},
  createdAt: Date.now(),
  rotatedAt: Date.now() - 5 * SECOND,
  left: 20 * DAY,
  sequence: 1,
  current: 'hash',
};

/** How long ago the family was rotated, and how often its life was asked for, where Redis answers with these lives. */
async function found(lives: (number | null | undefined)[], { left } = family) {
  let asked = 0;
  const life = new FamilyLife(() => Promise.resolve(lives[Math.min(asked++, lives.length - 1)]), lifetime);
  const since = await life.sinceRotation({ ...family, left });
  return { seconds: since && Math.round(since() / SECOND), asked };
}

describe('the time since a family was rotated', () => {
  it('is the life that it had then, less what it has now', async () => {
    expect(await found([20 * DAY - 5 * SECOND])).toEqual({ seconds: 5, asked: 1 });
    // By the clock of Redis, also if the host takes it for 3 days earlier or later.
    expect(await found([17 * DAY])).toEqual({ seconds: (3 * DAY) / SECOND, asked: 1 });
  });

  it('is asked for again if the family was extended after its life was told, and before its record was', async () => {
    expect(await found([20 * DAY - 5 * SECOND, 28 * DAY - 5 * SECOND], { ...family, left: 28 * DAY })).toEqual({
      seconds: 5,
      asked: 2,
    });
  });

  it('cannot be told of a family that lasts for ever, or is gone', async () => {
    expect((await found([null])).seconds).toBeUndefined();
    expect((await found([undefined])).seconds).toBeUndefined();
  });

  it('goes on from what was found first if the family is extended, and begins anew if it is rotated meanwhile', async () => {
    const life = new FamilyLife(() => Promise.resolve(20 * DAY - 60 * SECOND), lifetime);
    await life.sinceRotation(family);
    const extended = await life.sinceRotation({ ...family, left: 28 * DAY });
    expect(Math.round(Number(extended?.()) / SECOND)).toBe(60);
    const rotated = await life.sinceRotation({ ...family, sequence: 2 });
    expect(Math.round(Number(rotated?.()) / SECOND)).toBe(0);
  });
});
