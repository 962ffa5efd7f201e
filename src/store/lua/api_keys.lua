-- api_keys: stores a managed API key, forgets old ones, and records the change in the audit log.
-- Needs  finish, audit
--
-- ARGV[5]    version of the keys that the change is based on; '' if there never was a key
-- ARGV[6]    version of the keys after it
-- ARGV[7]    id of the key
-- ARGV[8]    the key, JSON
-- ARGV[9]    action, such as `key.created`
-- ARGV[10]   name of the key
-- ARGV[11]   facts for the audit log, JSON
-- ARGV[12…]  ids of keys to forget
-- The last 2: see audit.lua.
--
-- Returns  1 if the keys are changed, 0 if they have another version
local version = redis.call('GET', P .. 'keys:version') or ''
if version == ARGV[6] then
  -- The answer to the first of two calls was lost.
  return 1
end
if version ~= ARGV[5] then
  return 0
end
write('SET', P .. 'keys:version', { ARGV[6] })
write('HSET', P .. 'keys', { ARGV[7], ARGV[8] })
write('ZADD', P .. 'keys:used', { 'NX', 0, ARGV[7] })
for i = 12, #ARGV - 2 do
  write('HDEL', P .. 'keys', { ARGV[i] })
  write('ZREM', P .. 'keys:used', { ARGV[i] })
end
audit(ARGV[9], 'key:' .. ARGV[10], cjson.decode(ARGV[11]))
wake('keys')
finish()
return 1
