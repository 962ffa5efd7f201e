-- count: returns the counters of open tasks and the number of open tasks, at one moment.
-- Needs  call
--
-- Returns  now (ms), 1 if nothing was written yet in this millisecond else 0, counters (priority,
--          count, …), how many tasks are not in the set of a final state
local sum = redis.call('HLEN', P .. 'records')
for state, rule in pairs(STATES) do
  if rule.is_final then
    sum = sum - redis.call('ZCARD', P .. state)
  end
end
-- Every move adds an event, so the newest event has the time of the last move.
local newest = redis.call('XREVRANGE', P .. 'events', '+', '-', 'COUNT', 1)[1]
local is_fresh = not newest or tonumber(string.match(newest[1], '^%d+')) < NOW
return { NOW, is_fresh and 1 or 0, redis.call('HGETALL', P .. 'open'), sum }
