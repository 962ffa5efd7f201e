-- reap: returns tasks with a lost lease to their subjects.
-- Needs  finish, lease
--
-- A lease is lost if it ends without a report. That is not a failed attempt: it has a count of its
-- own, and fails the task only at a limit of its own. An attempt that reached the timeout of its
-- task has failed. The script also deletes expired sessions, and removes from the roster the agents
-- that own nothing: no session, no task, no pause.
--
-- ARGV[5]  how many at most
-- ARGV[6]  how many lost leases fail a task
-- ARGV[7]  waits by number of failures, ms, joined by commas
-- ARGV[8]  how long a session stays live after its last call, ms
--
-- Returns  how many tasks it took back, and in how many ms to look at an agent next (-1: none)

-- How many agents one call looks at.
local AGENTS = 16

-- Deletes up to `count` sessions that are not live any more. Returns how many are left.
local function sweep_sessions(agent, live_ms, count)
  local sessions = P .. 'sessions:' .. agent
  local silent = due_in(sessions, count, TEXT[NOW - live_ms])
  local left = redis.call('ZCARD', sessions) - #silent
  write_all('ZREM', sessions, silent)
  if #silent > 0 and left == 0 then
    emit_agent('agent.offline', agent, ',"worker":null')
  end
  return left
end

local function take_back(task)
  if barred(task, 'reap') then
    return
  end
  local status = task.status
  local lost = status.lost + 1
  if status.limit ~= '-' and tonumber(status.limit) <= NOW then
    local reason = '"the attempt took longer than the task\'s timeout_ms"'
    fail(task, 'reap', { reason = reason }, true, nil, ARGV[7])
    return
  end
  edit(task).lost = TEXT[lost]
  if lost >= tonumber(ARGV[6]) then
    local reason = '"lost ' .. lost .. ' leases: the agent fell silent on every one of them"'
    move(task, 'reap', { to = 'failed', reason = reason, event = 'task.failed' })
  else
    move(task, 'reap', { to = 'assigned', reason = '"the lease ended in silence"' })
  end
end

-- Returns when the reaper must look at the agent next, ms; nil if it owns nothing.
local function next_look(agent, sessions)
  local held, waiting = set_of('in_progress', agent), set_of('assigned', agent)
  local at = first_after(held, NOW)
  if sessions > 0 then
    local oldest = first_after(P .. 'sessions:' .. agent, NOW - ARGV[8])
    -- None if there were more expired ones than one call handles.
    at = math.min(at or math.huge, oldest and oldest + ARGV[8] or NOW)
  end
  if at then
    return at
  end
  local has_tasks = redis.call('EXISTS', held) == 1 or redis.call('EXISTS', waiting) == 1
  if has_tasks or redis.call('SISMEMBER', P .. 'paused', agent) == 1 then
    return NOW + IDLE
  end
end

local count, looks, idle = 0, {}, {}
local most = tonumber(ARGV[5])
local agents = due_in(P .. 'roster', AGENTS)
for _, agent in ipairs(agents) do
  local sessions = sweep_sessions(agent, ARGV[8], ARGV[5])
  local ended = due_in(set_of('in_progress', agent), most - count)
  for _, task in ipairs(fetch(ended)) do
    take_back(task)
  end
  count = count + #ended
  -- The last agent may have more lost leases than one call handles.
  local at = count >= most and NOW or next_look(agent, sessions) or watched[agent]
  if at then
    push(looks, TEXT[math.min(at, watched[agent] or at)], agent)
  else
    push(idle, agent)
  end
  watched[agent] = nil
end
write_all('ZADD', P .. 'roster', looks)
write_all('ZREM', P .. 'roster', idle)
local is_more = #agents == AGENTS or count >= most
finish()
return { count, is_more and 0 or next_due(P .. 'roster') }
