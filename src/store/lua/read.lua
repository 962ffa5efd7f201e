-- read: tasks as they are now.
--
-- ARGV[5…]  ids
--
-- Returns  now, ms, then for each task that there is a list: id, lease until (ms, or -1), its hash (a flat
--          list), its spec, its result or ''
local answer = { NOW }
for i = 5, #ARGV do
  local id = ARGV[i]
  local hash = redis.call('HGETALL', P .. 'task:' .. id)
  if #hash > 0 then
    local f = redis.call('HMGET', P .. 'task:' .. id, 'state', 'agent')
    local lease_until = f[1] == 'in_progress' and redis.call('ZSCORE', set_of(f[1], f[2]), id)
    answer[#answer + 1] = { id, lease_until or -1, hash, redis.call('HGET', P .. 'specs', id) or '{}',
      redis.call('HGET', P .. 'results', id) or '' }
  end
end
return answer
