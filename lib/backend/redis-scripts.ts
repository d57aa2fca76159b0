import { createHash } from 'node:crypto';
import { NEVER } from './cache-backend.js';

/** A Lua script on one key, with the digest by which Redis knows it once it has seen it. */
export interface RedisScript {
  readonly source: string;
  readonly sha1: string;
}

/** KEYS: record. ARGV: expected bytes, command, its arguments after the key. → 1 if done, 0 if the bytes are others. */
export const COMPARE_AND_SET = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3))
return 1
`);

const TRIM = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[1]))
`;

/** KEYS: index. ARGV: clock skew in ms, member, ttl in ms or ''. → the member's new score. */
export const ADD_TO_INDEX = script(`
${TRIM}
local ttl = tonumber(ARGV[3])
local score = string.format('%.0f', now + (ttl or ${NEVER}))
redis.call('ZADD', KEYS[1], 'GT', score, ARGV[2])
local last = tonumber(redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
if last >= ${NEVER} then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last + ARGV[1]))
end
return score
`);

/** KEYS: index. ARGV: clock skew in ms. */
export const TRIM_INDEX = script(TRIM);

/** KEYS: index. ARGV: member, score, member, score, … */
export const REMOVE_FROM_INDEX = script(`
for i = 1, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or 'nan') == tonumber(ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
`);

function script(source: string): RedisScript {
  return { source, sha1: createHash('sha1').update(source).digest('hex') };
}
