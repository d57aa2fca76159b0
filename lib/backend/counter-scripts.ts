import { CLOCK, script } from './redis-scripts.js';

/*
 * A counter is a text of five numbers: the count, the moment at which it ends, whether it is blocked until then, how many
 * blocks there were, the moment at which those are forgotten. A moment of 0 never comes. The moments stand in the text, so that
 * nothing that happens to the expiry of the key makes a counter live longer.
 */
const READ_COUNTER = `
${CLOCK}
local text = redis.call('GET', KEYS[1]) or '0 1 0 0 1'
local count, ends, blocked, series, forgotten = text:match('^(-?%d+) (%d+) ([01]) (%d+) (%d+)$')
if not count then return redis.error_reply('WRONGTYPE the value under the key is no counter') end
count, ends, series, forgotten = tonumber(count), tonumber(ends), tonumber(series), tonumber(forgotten)
local isOver = ends ~= 0 and ends <= now
`;

/** KEYS: counter. → its count, as a text since the parser of ioredis rounds the largest integers, and the ms it has left (-1: it never ends); nil if there is none. */
export const READ = script(`
${READ_COUNTER}
if isOver then return false end
return { string.format('%.0f', count), ends == 0 and -1 or ends - now }
`);

/**
 * KEYS: counter. ARGV: by, ttl in ms or '', limit or '', first block in ms or '', its factor, longest block in ms.
 * → count, ms left (-1: it never ends), 1 if allowed.
 */
export const HIT = script(`
${READ_COUNTER}
local by, ttl, limit, first = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if isOver then count, ends, blocked = 0, ttl and now + ttl or 0, '0' end
if forgotten <= now then series, forgotten = 0, 0 end
local isRefused = limit and (blocked == '1' or count + by > limit)
local isBlockedNow = isRefused and first and blocked == '0'
if not isRefused then
  count = count + by
  if math.abs(count) > ${Number.MAX_SAFE_INTEGER} then return redis.error_reply('ERR the counter would leave the safe integers') end
elseif isBlockedNow then
  local longest = tonumber(ARGV[6])
  ends = now + math.min(longest, math.ceil(first * tonumber(ARGV[5]) ^ series))
  blocked, series, forgotten = '1', series + 1, ends + longest
end
if not isRefused or isBlockedNow then
  local expiry = ends == 0 and {} or { 'PXAT', string.format('%.0f', math.max(ends, forgotten)) }
  redis.call('SET', KEYS[1], string.format('%.0f %.0f %s %.0f %.0f', count, ends, blocked, series, forgotten), unpack(expiry))
end
return { string.format('%.0f', count), ends == 0 and -1 or ends - now, isRefused and 0 or 1 }
`);
