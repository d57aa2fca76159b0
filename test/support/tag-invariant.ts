import type { RedisServer } from './redis-server.js';

const NEVER = 2 ** 52;

/** The records of a namespace, all of which have the tag, that outlive their place in its index: there must be none. */
export async function uncovered(server: RedisServer, namespace: string, tag: string): Promise<string[]> {
  // In one script, so that nothing changes between two looks.
  const script = `
    local missing = {}
    local index = ARGV[1] .. '#' .. ARGV[2]
    for _, key in ipairs(redis.call('KEYS', ARGV[1] .. ':*')) do
      local score = tonumber(redis.call('ZSCORE', index, string.sub(key, #ARGV[1] + 2)) or 0)
      local expires = redis.call('PEXPIRETIME', key)
      if expires == -1 then expires = tonumber(ARGV[3]) end
      local index_expires = redis.call('PEXPIRETIME', index)
      if score < expires or (index_expires >= 0 and index_expires < expires) then table.insert(missing, key) end
    end
    return missing`;
  return (await server.cli('EVAL', script, 0, namespace, tag, NEVER)) as string[];
}
