import { describe as describeFailure, toCacheError, toRefusal } from '../../lib/connection/redis-failures.js';
import { expectSecret, KEY, PASSWORD, VALUE } from '../support/canaries.js';

const SHA1 = '0d7e52b8c31f0d7e52b8c31f0d7e52b8c31f0d7e';

/** An error as ioredis makes it. */
function reply(message: string, ...args: (string | Buffer)[]): Error {
  return Object.assign(new Error(message), { name: 'ReplyError', command: { name: 'evalsha', args: [SHA1, ...args] } });
}

describe('what is told of an error of ioredis', () => {
  const replies = [
    `ERR unknown command 'SET', with args beginning with: '${KEY}' '${VALUE}' `, // Redis 7
    `ERR unknown command \`SET\`, with args beginning with: \`${KEY}\`, \`${VALUE}\`, `, // Redis 5
    `ERR the key "${KEY}" is not allowed here`,
    `NOPERM no access to '${KEY.slice(0, 20)}…'`,
    `ERR bad value ${VALUE}`,
  ];
  it.each(replies)('shows no argument that the reply repeats: %s', (message) => {
    for (const value of [VALUE, Buffer.from(VALUE)]) {
      const error = toCacheError(reply(message, `session:${KEY}`, KEY, value), true);
      expectSecret(error);
      expect(error).toMatchObject({ code: 'CACHE_COMMAND', reply: message.split(' ', 1)[0] });
    }
  });

  it('keeps the whole reply where it repeats none', () => {
    const message = 'OOM command not allowed when used memory > maxmemory.';
    expect(describeFailure(reply(message, 'a', 'EX', 'OOM', KEY, VALUE)).message).toBe(message);
    const inScript = `WRONGTYPE Operation against a key holding the wrong kind of value script: ${SHA1}, on @user_script:5.`;
    expect(describeFailure(reply(inScript, KEY, VALUE)).message).toBe(inScript);
    const denied = 'NOPERM this user has no permissions to run the TRACKING command';
    expect(describeFailure(reply(denied, 'TRACKING', 'ON', 'PREFIX')).message).toBe(denied);
  });

  it.each(['NOAUTH Authentication required.', 'WRONGPASS invalid username-password pair or user is disabled.'])(
    'is an outage if nobody was let in: %s',
    (message) => {
      const error = toCacheError(reply(message, KEY), true);
      expect(error).toMatchObject({ code: 'CACHE_UNAVAILABLE', reason: 'disconnected', outcome: 'not-sent' });
    },
  );

  it('shows neither command, stack nor cause, nor what a Cluster wraps', () => {
    const inner = Object.assign(reply(`WRONGPASS ${PASSWORD}`, 'user', PASSWORD), {
      cause: VALUE,
      previousErrors: [KEY],
    });
    const wrapped = Object.assign(new Error(`Failed: ${PASSWORD}`), { lastNodeError: inner });
    for (const error of [inner, wrapped]) {
      expectSecret(describeFailure(error));
      expectSecret(toCacheError(error, false));
      expectSecret(toRefusal(error));
      expect(toRefusal(error)).toMatchObject({ option: 'url' });
    }
  });
});
