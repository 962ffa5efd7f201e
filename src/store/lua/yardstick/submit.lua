-- submit: (naive) what a simple script does for each task. The yardstick of benchmarks, not a part
-- of the product.
--
-- ARGV[1]   now, ms
-- ARGV[2…]  2 for each task: id, spec (opaque bytes)
--
-- Returns  how many
local now = ARGV[1]
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local event = '{"event_id":"' .. id .. '","event_type":"task.created","priority":"medium","source_agent":"yardstick"'
    .. ',"task_id":"' .. id .. '","payload":{"type":"faq","status":"pending"},"timestamp":"' .. now .. '","metadata":{}}'
  redis.call('SET', 'naive:spec:' .. id, ARGV[i + 1])
  redis.call('HSET', 'naive:task:' .. id, 'state', 'pending', 'type', 'faq', 'priority', 'P2', 'agent', 'faq_agent',
    'created', now, 'updated', now, 'attempt', 0, 'retries', 0)
  redis.call('ZADD', 'naive:pending', now, id)
  redis.call('ZADD', 'naive:timers', now, id)
  redis.call('XADD', 'naive:events', 'MAXLEN', '~', 1000000, '*', 'event', event)
  redis.call('PUBLISH', 'naive:events:task.created', event)
end
return (#ARGV - 1) / 2
