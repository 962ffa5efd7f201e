-- sessions: the processes of agents, and which agents may join.
-- Needs  steps

-- Returns whether the agent is in the roster, or has a place there. `most` is the largest roster
-- that admits a new agent, or nil.
local function is_admitted(agent, most)
  local roster = P .. 'roster'
  return not most or redis.call('ZSCORE', roster, agent) or redis.call('ZCARD', roster) < most
end

-- Notes calls of processes.
--
-- live_ms  how long a session stays live after its last call
-- most     how many sessions of an agent to keep: those with the latest calls
local function note_sessions(agent, workers, live_ms, most)
  local sessions, scored, new = P .. 'sessions:' .. agent, {}, 0
  for _, worker in ipairs(workers) do
    push(scored, now, worker)
    new = new + (redis.call('ZSCORE', sessions, worker) and 0 or 1)
  end
  typed[sessions] = true
  write_all('ZADD', sessions, scored)
  if new == 0 then
    return
  end
  look_at(agent, NOW + live_ms)
  local live = redis.call('ZCARD', sessions)
  local excess = math.min(live + new - most, PIECE)
  if live == 0 then
    emit_agent('agent.online', agent, ',"worker":"' .. workers[1] .. '"')
  elseif excess > 0 then
    write('ZREMRANGEBYRANK', sessions, { 0, excess - 1 })
  end
end
