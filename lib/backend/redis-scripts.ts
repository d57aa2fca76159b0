import { createHash } from 'node:crypto';
import { NEVER } from './cache-backend.js';

/** A Lua script on one key, with the digest by which Redis knows it once it has seen it. */
export interface RedisScript {
  readonly source: string;
  readonly sha1: string;
}

/** Sets `now`, in ms since the epoch. */
export const CLOCK = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * KEYS: record. ARGV: expected bytes, the moment until which it may live at most or '', the ms that it may have left at most or '',
 * command, its arguments after the key. → 1 if done, 0 if the bytes are others, or live on for longer.
 */
export const COMPARE_AND_SET = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '' or ARGV[3] ~= '' then
  local left = redis.call('PTTL', KEYS[1])
  ${CLOCK}
  if left < 0 or now + left > (tonumber(ARGV[2]) or math.huge) or left > (tonumber(ARGV[3]) or math.huge) then return 0 end
end
redis.call(ARGV[4], KEYS[1], unpack(ARGV, 5))
return 1
`);

const TRIM = `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - ARGV[1]))
`;

// In the millisecond of its expiry Redis still gives a record, so the index is there one longer.
const LIVE_AS_LONG_AS_LAST = `
local last = tonumber(redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
if last and last >= ${NEVER} then
  redis.call('PERSIST', KEYS[1])
elseif last then
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last + ARGV[1] + 1))
end
`;

/** KEYS: index. ARGV: clock skew in ms, member, ttl in ms or ''. → the moment until which the member stays at least. */
export const ADD_TO_INDEX = script(`
${CLOCK}
local ttl = tonumber(ARGV[3])
local score = now + (ttl or ${NEVER})
-- Who is there for ever stays so, and must show that it is being written again, or it might be taken for a stale one.
local isEternal = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[2]) or 0) >= ${NEVER}
-- The first write, since Redis without memory (OOM) refuses a script no more once it has written.
redis.call('ZADD', KEYS[1], 'GT', string.format('%.0f', isEternal and now + ${NEVER} or score), ARGV[2])
${TRIM}
${LIVE_AS_LONG_AS_LAST}
return string.format('%.0f', score)
`);

/** KEYS: index. ARGV: clock skew in ms. */
export const TRIM_INDEX = script(CLOCK + TRIM);

/** KEYS: index. ARGV: clock skew in ms, member, score, member, score, … */
export const REMOVE_FROM_INDEX = script(`
for i = 2, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or 'nan') == tonumber(ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
${LIVE_AS_LONG_AS_LAST}
`);

export function script(source: string): RedisScript {
  return { source, sha1: createHash('sha1').update(source).digest('hex') };
}
