-- count: what the counters of open tasks say, and how many tasks stand in open states, at one moment.
--
-- Returns  now (ms), 1 if nothing was written yet in this millisecond else 0, counters (priority, count, …), how many
--          tasks stand in the sets of open states
local sum = 0
local agents = redis.call('SMEMBERS', P .. 'agents')
for state in pairs(STATES) do
  if not TERMINAL[state] then
    if PER_AGENT[state] then
      for _, agent in ipairs(agents) do
        sum = sum + redis.call('ZCARD', set_of(state, agent))
      end
    else
      sum = sum + redis.call('ZCARD', P .. state)
    end
  end
end
-- Every move is an event, so the newest tells when the last move was.
local newest = redis.call('XREVRANGE', P .. 'events', '+', '-', 'COUNT', 1)[1]
local is_fresh = not newest or tonumber(string.match(newest[1], '^%d+')) < NOW
return { NOW, is_fresh and 1 or 0, redis.call('HGETALL', P .. 'open'), sum }
