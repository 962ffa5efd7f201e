-- stats: how the partition stands, at a cost that does not depend on the number of tasks.
--
-- ARGV[5]  how long after its last call a session counts as live, ms
--
-- Returns  now (ms), states (name, count, …), open tasks by priority (name, count, …),
--          agents: a list each of name, depth, in progress, 1 if paused else 0, sessions (worker, last seen in ms, …),
--          and since when the head of the queue could start (ms, or -1)
local states, agents = {}, {}
for state in pairs(STATES) do
  if not PER_AGENT[state] then
    states[#states + 1], states[#states + 2] = state, redis.call('ZCARD', P .. state)
  end
end
for _, agent in ipairs(redis.call('SMEMBERS', P .. 'agents')) do
  local sessions = P .. 'sessions:' .. agent
  agents[#agents + 1] = { agent, redis.call('ZCARD', set_of('assigned', agent)),
    redis.call('ZCARD', set_of('in_progress', agent)), redis.call('SISMEMBER', P .. 'paused', agent),
    redis.call('ZRANGEBYSCORE', sessions, NOW - ARGV[5], '+inf', 'WITHSCORES') }
end
local first = redis.call('ZRANGE', P .. 'pending', 0, 0)[1]
local begin = first and load(first) and promise(load(first)).begin
return { NOW, states, redis.call('HGETALL', P .. 'open'), agents, begin or -1 }
