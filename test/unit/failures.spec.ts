import { describe as describeFailure, redirectionOf, toCacheError, toRefusal } from '../../lib/connection/failures.js';
import type { RedisCommand } from '../../lib/ioredis/command.js';
import type { CacheUnavailableError } from '../../lib/redis-cache.errors.js';
import { expectSecret, KEY, PASSWORD, VALUE } from '../support/canaries.js';

const SHA1 = '0d7e52b8c31f0d7e52b8c31f0d7e52b8c31f0d7e';

/** An error as ioredis makes it. */
function reply(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError' });
}

function script(...args: (string | Buffer)[]): RedisCommand {
  return ['evalsha', SHA1, ...args];
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
      const error = toCacheError(reply(message), true, script(`session:${KEY}`, KEY, value));
      expectSecret(error);
      expect(error).toMatchObject({ code: 'CACHE_COMMAND', reply: message.split(' ', 1)[0] });
    }
  });

  it('keeps the whole reply where it repeats none', () => {
    const message = 'OOM command not allowed when used memory > maxmemory.';
    expect(describeFailure(reply(message), script('a', 'EX', 'OOM', KEY, VALUE)).message).toBe(message);
    const inScript = `WRONGTYPE Operation against a key holding the wrong kind of value script: ${SHA1}, on @user_script:5.`;
    expect(describeFailure(reply(inScript), script(KEY, VALUE)).message).toBe(inScript);
    const denied = 'NOPERM this user has no permissions to run the TRACKING command';
    expect(describeFailure(reply(denied), ['client', 'TRACKING', 'ON', 'PREFIX']).message).toBe(denied);
  });

  it.each(['NOAUTH Authentication required.', 'WRONGPASS invalid username-password pair or user is disabled.'])(
    'is an outage if nobody was let in: %s',
    (message) => {
      const error = toCacheError(reply(message), true, script(KEY));
      expect(error).toMatchObject({ code: 'CACHE_UNAVAILABLE', reason: 'disconnected', outcome: 'not-sent' });
    },
  );

  it('shows neither command, stack nor cause', () => {
    const error = Object.assign(reply(`WRONGPASS ${PASSWORD}`), {
      command: { name: 'auth', args: ['user', PASSWORD] },
      cause: VALUE,
      previousErrors: [KEY],
    });
    const words: RedisCommand = ['auth', 'user', PASSWORD];
    expectSecret(describeFailure(error, words));
    expectSecret(toCacheError(error, false, words));
    expectSecret(toRefusal(describeFailure(error, words), 'localhost:6379'));
    expect(toRefusal(error, 'localhost:6379')).toMatchObject({ option: 'url' });
  });

  it.each([
    [
      "ERR Error running script (call to f_0d7e): @user_script:5: @user_script: 5: -READONLY You can't write.",
      'READONLY',
    ],
    ['ERR Error running script (call to f_0d7e): @user_script:5: WRONGTYPE Operation against a key', 'WRONGTYPE'],
    ['ERR Error running script (call to f_0d7e): @user_script:2: @user_script: 2: -OOM command not allowed', 'OOM'],
    [
      "ERR Error running script (call to f_0d7e): @user_script:2: @user_script: 2: The user executing the script can't run this command or subcommand",
      'NOPERM',
    ],
    ['NOSCRIPT No matching script.', 'NOSCRIPT'],
  ])('gives the code of a command of a script as Redis 7 does: %s', (message, code) => {
    expect(toCacheError(reply(message), true)).toMatchObject({ code: 'CACHE_COMMAND', reply: code });
  });

  it.each(['MOVED 7000 127.0.0.1:7001', 'ASK 7000 :7001'])(
    'keeps a redirection whole, whatever was sent: %s',
    (message) => {
      const error = toCacheError(reply(message), true, ['set', 'key', 'value', 'PX', '7000']) as CacheUnavailableError;
      expect(error).toMatchObject({ code: 'CACHE_UNAVAILABLE', outcome: 'not-sent' });
      const host = message.startsWith('ASK') ? 'asked' : '127.0.0.1'; // an empty one is that of the node that was asked
      const redirection = redirectionOf(error, { host: 'asked', port: 7000 });
      expect(redirection).toEqual({ kind: message.split(' ', 1)[0], slot: 7000, host, port: 7001 });
    },
  );
});
