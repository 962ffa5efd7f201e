-- stats: returns the numbers of a partition, at a cost that does not depend on the number of tasks,
-- agents or sessions.
-- Needs  move
--
-- ARGV[5]  how long a session stays live after its last call, ms
-- ARGV[6]  cursor of the roster: 0, then the one that the last call returned
--
-- Returns  now (ms), states (name, count, …), open tasks by priority (name, count, …), since
--          when the head of the queue could start (ms, or -1), the next cursor (0: there are no
--          more agents), and about a hundred agents: a list each of name, depth, in progress, 1 if
--          paused else 0, live sessions, when the last of them called (ms, or -1)
local states, agents = {}, {}
for state, rule in pairs(STATES) do
  if not rule.is_per_agent then
    push(states, state, redis.call('ZCARD', P .. state))
  end
end
local scan = redis.call('ZSCAN', P .. 'roster', ARGV[6], 'COUNT', 100)
local cursor, roster = scan[1], scan[2]
for i = 1, #roster, 2 do
  local agent = roster[i]
  local sessions = P .. 'sessions:' .. agent
  local live = redis.call('ZCOUNT', sessions, NOW - ARGV[5], '+inf')
  local last = live > 0 and redis.call('ZREVRANGE', sessions, 0, 0, 'WITHSCORES')[2]
  local depth = redis.call('ZCARD', set_of('assigned', agent))
  local held = redis.call('ZCARD', set_of('in_progress', agent))
  local is_paused = redis.call('SISMEMBER', P .. 'paused', agent)
  agents[#agents + 1] = { agent, depth, held, is_paused, live, last or '-1' }
end
local first = redis.call('ZRANGE', P .. 'pending', 0, 0)[1]
local begin = first and load(first) and promise(load(first)).begin
return { NOW, states, redis.call('HGETALL', P .. 'open'), begin or -1, cursor, agents }
