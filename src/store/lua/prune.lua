-- prune: forgets tasks that ended long ago, with all that belongs to them.
--
-- ARGV[5]  how many at the most, for each terminal state
-- ARGV[6]  for how long they are kept, ms
-- ARGV[7]  for how long the event log is kept, ms
--
-- Returns  how many were forgotten
local pruned = {}
for state in pairs(RULES.prune.from) do
  local old = redis.call('ZRANGEBYSCORE', P .. state, '-inf', NOW - ARGV[6], 'LIMIT', 0, ARGV[5])
  for _, id in ipairs(old) do
    append(gone, P .. state, id)
    local key = P .. 'task:' .. id
    local f = redis.call('HMGET', key, 'approval', 'parent')
    if f[1] then
      local status = redis.call('HGET', P .. 'approval:' .. f[1], 'status')
      if status then
        append(gone, P .. 'approvals:' .. status, f[1])
      end
      redis.call('DEL', P .. 'approval:' .. f[1])
    end
    if f[2] then
      append(gone, P .. 'children:' .. f[2], id)
    end
    redis.call('UNLINK', key)
    pruned[#pruned + 1] = id
  end
end
if #pruned > 0 then
  redis.call('HDEL', P .. 'specs', unpack(pruned))
  redis.call('HDEL', P .. 'results', unpack(pruned))
  redis.call('ZREM', P .. 'tasks', unpack(pruned))
end
-- Whole nodes of the stream only, which costs little: the log keeps up to a hundred entries more.
redis.call('XTRIM', P .. 'events', 'MINID', '~', string.format('%.0f', NOW - ARGV[7]))
finish()
return #pruned
