-- sessions: the processes of agents, and which agents may join.
-- Needs  steps

-- Returns whether the agent is in the roster, or has a place there. `most` is the largest roster
-- that admits a new agent, or nil.
local function is_admitted(agent, most)
  local roster = P .. 'roster'
  return not most or redis.call('ZSCORE', roster, agent) or redis.call('ZCARD', roster) < most
end

-- Notes a call of a process.
--
-- live_ms  how long a session stays live after its last call
-- most     how many sessions of an agent to keep: those with the latest calls
local function note_session(agent, worker, live_ms, most)
  local sessions = P .. 'sessions:' .. agent
  write('ZADD', sessions, { now, worker })
  if redis.call('ZSCORE', sessions, worker) then
    return
  end
  look_at(agent, NOW + live_ms)
  local live = redis.call('ZCARD', sessions)
  local excess = math.min(live + 1 - most, 100)
  if live == 0 then
    emit_agent('agent.online', agent, ',"worker":"' .. worker .. '"')
  elseif excess > 0 then
    write('ZREMRANGEBYRANK', sessions, { 0, excess - 1 })
  end
end
