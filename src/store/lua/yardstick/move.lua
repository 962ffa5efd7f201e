-- move: (naive) moves the first tasks of one state to another, one by one. The yardstick of
-- benchmarks, not a part of the product.
--
-- ARGV[1]  now, ms
-- ARGV[2]  from which state
-- ARGV[3]  to which state
-- ARGV[4]  how many at most
--
-- Returns  their specs
local now, from, to = ARGV[1], ARGV[2], ARGV[3]
local popped = redis.call('ZPOPMIN', 'naive:' .. from, ARGV[4])
local answer = {}
for i = 1, #popped, 2 do
  local id = popped[i]
  local f = redis.call('HMGET', 'naive:task:' .. id, 'state', 'type', 'priority', 'attempt')
  local event = '{"event_id":"' .. id .. '","event_type":"task.' .. to .. '","priority":"medium","source_agent":"yardstick"'
    .. ',"task_id":"' .. id .. '","payload":{"type":"' .. f[2] .. '","status":"' .. to .. '","previous_status":"' .. f[1]
    .. '"},"timestamp":"' .. now .. '","metadata":{}}'
  redis.call('ZADD', 'naive:' .. to, popped[i + 1], id)
  redis.call('HSET', 'naive:task:' .. id, 'state', to, 'updated', now, 'attempt', f[4] + 1)
  redis.call('XADD', 'naive:events', 'MAXLEN', '~', 1000000, '*', 'event', event)
  redis.call('PUBLISH', 'naive:events:task.' .. to, event)
  answer[#answer + 1] = redis.call('GET', 'naive:spec:' .. id)
end
return answer
