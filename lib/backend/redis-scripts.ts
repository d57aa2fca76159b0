import { createHash } from 'node:crypto';
import { IS_PLAIN_RECORD, TAGGED_HEAD } from '../record/layout.js';

/** A Lua script, with the digest by which Redis knows it once it has seen it. */
export interface RedisScript {
  readonly source: string;
  readonly sha1: string;
}

export const CLOCK = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** Heads of one reply, in bytes, the last one not counted: what is not told is asked for again. */
const MOST_TOLD = 2 ** 16;

/**
 * KEYS: record. ARGV: expected bytes, the moment until which it may live at most or '', arguments of SET after the bytes or
 * nothing (delete). → 1 if done, 0 if the bytes are others, or live on for longer.
 */
export const COMPARE_AND_SET = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '' then
  local expires = redis.call('PTTL', KEYS[1])
  ${CLOCK}
  if expires < 0 or now + expires > tonumber(ARGV[2]) then return 0 end
end
if ARGV[3] then redis.call('SET', KEYS[1], unpack(ARGV, 3)) else redis.call('UNLINK', KEYS[1]) end
return 1
`);

/**
 * KEYS: record. ARGV: the head, the ms that the record may have left at most or '', a command, its arguments after the key.
 * → 1 if done, 0 if the record begins otherwise, or has more left.
 */
export const COMPARE_HEAD = script(`
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '' then
  local left = redis.call('PTTL', KEYS[1])
  if left < 0 or left > tonumber(ARGV[2]) then return 0 end
end
redis.call(ARGV[3], KEYS[1], unpack(ARGV, 4))
return 1
`);

/**
 * KEYS: records. ARGV: for each of them its bytes, an option of SET or '', the value of that. → how many were written, in their order:
 * all, or those before the first that was refused. If that is the first of all, the script is refused as it was.
 */
export const SET_ALL = script(`
for i, key in ipairs(KEYS) do
  local bytes, option, value = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local call = i == 1 and redis.call or redis.pcall
  local reply = option == '' and call('SET', key, bytes) or call('SET', key, bytes, option, value)
  if reply.err then return i - 1 end
end
return #KEYS
`);

/** KEYS: record. ARGV: bytes, arguments of SET. → the head of the tagged record that was overwritten, or nil. */
export const SWAP = script(`
${TAGGED_HEAD}
local head = tagged_head(KEYS[1])
redis.call('SET', KEYS[1], unpack(ARGV))
return head
`);

/** KEYS: record. ARGV: the last byte that is asked for. → its bytes and what PTTL says of it. */
export const READ_WITH_TTL = script(`
return { redis.call('GETRANGE', KEYS[1], 0, ARGV[1]), redis.call('PTTL', KEYS[1]) }
`);

/** KEYS: record. → its bytes, or nil; what is no plain record stays. */
export const TAKE = script(`
${IS_PLAIN_RECORD}
local bytes = redis.call('GET', KEYS[1])
if bytes and is_plain_record(bytes) then redis.call('UNLINK', KEYS[1]) end
return bytes
`);

/** KEYS: records. → for each of as many as are told: nil if it was not there, 1, or its head if it was a tagged record. */
export const DELETE = script(`
${TAGGED_HEAD}
local told, bytes = {}, 0
for i, key in ipairs(KEYS) do
  local head = tagged_head(key)
  told[i] = redis.call('UNLINK', key) == 1 and (head or 1)
  bytes = bytes + (head and #head or 0)
  if bytes > ${MOST_TOLD} then break end
end
return told
`);

/** KEYS: records. → for each of as many as are told: nil if it is not there, else its first bytes, with the whole head. */
export const HEADS = script(`
${TAGGED_HEAD}
local told, bytes = {}, 0
for i, key in ipairs(KEYS) do
  local head, start, problem = tagged_head(key)
  -- A user who may not read is told so (NOPERM): nobody knows whether there is a record.
  if problem and not problem:find('WRONGTYPE', 1, true) then redis.call('GETRANGE', key, 0, 0) end
  told[i] = head or start
  if told[i] == '' and redis.call('EXISTS', key) == 0 then told[i] = false end
  bytes = bytes + (told[i] and #told[i] or 0)
  if bytes > ${MOST_TOLD} then break end
end
return told
`);

/** Members whose moment has passed that one command trims: a write adds one, so that they become fewer. */
const TRIMMED = 100;

/** `gone`: the number of members whose moment has passed and that are still there. They rank first. */
const TRIM = `
${CLOCK}
local skew = tonumber(ARGV[1])
local function below(score) return redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. score) end
local gone = below(string.format('%.0f', now - skew))
if gone > 0 then gone = gone - redis.call('ZREMRANGEBYRANK', KEYS[1], 0, math.min(gone, ${TRIMMED}) - 1) end
`;

/** From this score on a member stays for ever. */
export const NEVER = 4e15;
/** The score of a member that stays for ever: no infinity, so that a successor can rank behind such a member, too. */
const FOR_EVER = 2 * NEVER;

// In the millisecond of its expiry Redis still gives a record, so the index is there one longer.
const LIVE_AS_LONG_AS_LAST = `
local last = tonumber(redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
if last and last >= ${NEVER} then
  redis.call('PERSIST', KEYS[1])
elseif last and last + skew + 1 > now then
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last + skew + 1))
elseif last then
  redis.call('UNLINK', KEYS[1]) -- an expiry that has passed would delete it here and now, however large it is
end
`;

const ADD = `
local moment = ARGV[3] == '' and ${FOR_EVER} or now + ARGV[3]
local place = ARGV[4] ~= '' and redis.call('ZSCORE', KEYS[1], ARGV[4])
local score = place and math.max(moment, place + 1) or moment
-- The first write, since Redis without memory (OOM) refuses a script no more once it has written.
redis.call('ZADD', KEYS[1], 'GT', string.format('%.0f', score), ARGV[2])
${TRIM}
${LIVE_AS_LONG_AS_LAST}
`;

/**
 * KEYS: index. ARGV: clock skew in ms, member, ttl in ms or '', the member whose place it takes or ''.
 * → the moment until which the member stays at least; from NEVER on: for ever.
 */
export const ADD_TO_INDEX = script(`
${CLOCK}
${ADD}
return string.format('%.0f', moment)
`);

/** As ADD_TO_INDEX, with the most members that the index may have then: → 1, or 0 if it would have more, and nothing changes. */
export const ADMIT_TO_INDEX = script(`
${CLOCK}
local others = redis.call('ZCOUNT', KEYS[1], string.format('%.0f', now - ARGV[1]), '+inf')
if ARGV[4] ~= '' and redis.call('ZSCORE', KEYS[1], ARGV[4]) then others = others - 1 end
if others >= tonumber(ARGV[5]) then return 0 end
${ADD}
return 1
`);

/** KEYS: index. ARGV: clock skew in ms, members. */
export const REMOVE_FROM_INDEX = script(`
redis.call('ZREM', KEYS[1], unpack(ARGV, 2))
${TRIM}
${LIVE_AS_LONG_AS_LAST}
`);

/**
 * KEYS: index. ARGV: clock skew in ms, members of a page, the last member of the page before or '', its score.
 * → members and scores. By rank, not by ZSCAN: its cursors mean nothing to the server that a failover brings in, while
 * scores never sink, so that whoever is in the index during the whole walk has been seen or is still ahead.
 */
export const INDEX_PAGE = script(`
${TRIM}
local from = gone
if ARGV[3] ~= '' then
  -- The last one may have gone, or moved ahead: then again from the first of its score.
  local is_there = redis.call('ZSCORE', KEYS[1], ARGV[3]) == ARGV[4]
  from = math.max(from, is_there and redis.call('ZRANK', KEYS[1], ARGV[3]) + 1 or below(ARGV[4]))
end
return redis.call('ZRANGE', KEYS[1], from, from + ARGV[2] - 1, 'WITHSCORES')
`);

export function script(source: string): RedisScript {
  return { source, sha1: createHash('sha1').update(source).digest('hex') };
}
