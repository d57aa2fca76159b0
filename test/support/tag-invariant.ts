import { NEVER } from '../../lib/backend/redis-scripts.js';
import { decodeHeader } from '../../lib/record/layout.js';
import type { RedisServer } from './redis-server.js';

/** The moment at which a key expires, in Lua, as PEXPIRETIME of Redis 7 tells it. */
export const END_OF = `
-- The moment at which a key expires; -1: never; -2: it is not there.
local function endOf(key)
  local moment = redis.pcall('PEXPIRETIME', key)
  if type(moment) == 'number' then return moment end
  local function now() -- before 7.0 the clock runs during a script
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
  end
  while true do
    local before, left, after = now(), redis.call('PTTL', key), now()
    if left < 0 then return left end
    if before == after then return before + left end
  end
end
`;

// In one script, so that nothing changes between two looks.
const LOOK = `${END_OF}
local function moment(ms) return ms == -1 and '+inf' or string.format('%.0f', ms) end
local index = ARGV[1] .. '#' .. ARGV[2]
local records = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. ':*')) do
  local bytes = redis.call('GETRANGE', key, 0, 1000):gsub('.', function(char) return string.format('%02x', char:byte()) end)
  table.insert(records, { string.sub(key, #ARGV[1] + 2), bytes, moment(endOf(key)) })
end
return { records, redis.call('ZRANGE', index, 0, -1, 'WITHSCORES'), moment(endOf(index)) }
`;

interface TagState {
  /** The ids of records with the tag that outlive their place in its index: there must be none. */
  readonly uncovered: string[];
  /** Members of the index that belong to no record: harmless, and trimmed sooner or later. */
  readonly leftOver: string[];
  /** All members of the index. */
  readonly members: string[];
  /** The ids of records with the tag, without those that have been moved away, or have not arrived. */
  readonly live: string[];
}

/** What a tag's index and the records of the namespace say of each other. */
export async function tagState(server: RedisServer, namespace: string, tag: string): Promise<TagState> {
  const look = (await server.cli('EVAL', LOOK, 0, namespace, tag)) as [[string, string, string][], string[], string];
  const [records, members, indexExpires] = look;
  const scores = new Map<string, number>();
  for (let i = 0; i + 1 < members.length; i += 2) scores.set(members[i] ?? '', moment(members[i + 1] ?? ''));
  const exposed: string[] = [];
  const live: string[] = [];
  const names = [...scores.keys()];
  for (const [id, hex, expires] of records) {
    const { tags, incarnation, movedAway } = decodeHeader(Buffer.from(hex, 'hex'));
    if (!tags.includes(tag)) continue;
    if (!movedAway) live.push(id);
    const covered = Math.min(scores.get(`${incarnation}${id}`) ?? -1, moment(indexExpires));
    if (covered < moment(expires)) exposed.push(id);
    scores.delete(`${incarnation}${id}`);
  }
  return { uncovered: exposed, leftOver: [...scores.keys()], members: names, live };
}

/** The records that outlive their place in the index of a tag. */
export async function uncovered(server: RedisServer, namespace: string, tag: string): Promise<string[]> {
  return (await tagState(server, namespace, tag)).uncovered;
}

function moment(text: string): number {
  return text.endsWith('inf') || Number(text) >= NEVER ? Infinity : Number(text);
}
