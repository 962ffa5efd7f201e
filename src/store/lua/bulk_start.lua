-- bulk_start: accepts a bulk, unless too many run. All bulks are in the first partition.
-- Needs  finish, audit
--
-- ARGV[5]   id
-- ARGV[6]   what is ordered, JSON that only the engine reads
-- ARGV[7]   how far it is, JSON that only the engine reads
-- ARGV[8]   how many may run at once
-- ARGV[9]   hash of the idempotency key and its owner, or ''
-- ARGV[10]  digest of the request with this key
-- ARGV[11]  how long to keep the key, ms
-- ARGV[12]  what it does, for the audit log
-- ARGV[13…] 2; see audit.lua
--
-- Returns  `OK`, `REPLAY <id>`, `MISMATCH`, or `FULL` and the ids of those that run
local key, set = P .. 'bulk:' .. ARGV[5], P .. 'bulks'
if redis.call('EXISTS', key) == 1 then
  -- The first call was accepted, and its answer was lost.
  return 'OK'
end
local once = ARGV[9] ~= '' and P .. 'idempotency:' .. ARGV[9]
local digest, earlier = string.match(once and redis.call('GET', once) or '', '^(%S+) (%S+)$')
if digest then
  return digest == ARGV[10] and 'REPLAY ' .. earlier or 'MISMATCH'
end
local most = tonumber(ARGV[8])
local running = redis.call('ZRANGE', set, 0, most - 1)
if #running >= most then
  return 'FULL ' .. table.concat(running, ' ')
end
if once then
  write('SET', once, { ARGV[10] .. ' ' .. ARGV[5], 'PX', ARGV[11] })
end
write('HSET', key, { 'order', ARGV[6], 'progress', ARGV[7], 'status', 'running', 'at', now,
  'by', ACTOR, 'role', ROLE, 'origin', ARGV[#ARGV] })
write('ZADD', set, { now, ARGV[5] })
audit('bulk', 'bulk:' .. ARGV[5], { order = ARGV[12] })
wake('bulk')
finish()
return 'OK'
