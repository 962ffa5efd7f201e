-- doctor_agents: finds what is wrong with these agents, and repairs it at the same moment.
-- Needs  findings
--
-- ARGV[5]   1 to repair what is found, 0 to search only
-- ARGV[6…]  agents that have a set of tasks or sessions, or are paused
--
-- Returns  a list for each finding, as `doctor_tasks` does
local function has_anything(agent)
  for state, rule in pairs(STATES) do
    if rule.is_per_agent and redis.call('EXISTS', set_of(state, agent)) == 1 then
      return true
    end
  end
  return redis.call('EXISTS', P .. 'sessions:' .. agent) == 1
    or redis.call('SISMEMBER', P .. 'paused', agent) == 1
end

-- Its leases would end late or never: the reaper finds agents by the roster.
local function check_roster(agent)
  local look = redis.call('ZSCORE', P .. 'roster', agent)
  local lease = redis.call('ZRANGE', set_of('in_progress', agent), 0, 0, 'WITHSCORES')[2]
  local function put()
    look_at(agent, NOW)
  end
  if not look and has_anything(agent) then
    note_finding(agent, 'roster_missing', {}, put)
  elseif look and lease and tonumber(look) > tonumber(lease) then
    note_finding(agent, 'roster_late', { look, lease }, put)
  end
end

for i = 6, #ARGV do
  local agent = ARGV[i]
  check_roster(agent)
  -- A session with a call in the future would stay live for ever.
  local sessions = P .. 'sessions:' .. agent
  local tomorrow = NOW + 86400000
  local future = redis.call('ZRANGEBYSCORE', sessions, tomorrow, '+inf', 'LIMIT', 0, 100)
  for _, worker in ipairs(future) do
    note_finding(agent, 'session_future', { worker }, put_in(sessions, worker, now))
  end
end
finish()
return findings
