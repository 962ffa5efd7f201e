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
-- Returns  how many tasks it took back, and in how many ms an agent must be looked at next (-1:
-- none)

-- How many agents one call looks at.
local AGENTS = 16

-- Deletes expired sessions. Returns how many sessions are left.
local function sweep_sessions(agent)
  local sessions = P .. 'sessions:' .. agent
  local until_when = TEXT[NOW - ARGV[8]]
  local silent = redis.call('ZRANGEBYSCORE', sessions, '-inf', until_when, 'LIMIT', 0, ARGV[5])
  local left = redis.call('ZCARD', sessions) - #silent
  if #silent > 0 then
    write('ZREM', sessions, silent)
    if left == 0 then
      emit_agent('agent.offline', agent, ',"worker":null')
    end
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
    fail(task, 'reap', { reason = '"the attempt took longer than the task\'s timeout_ms"' }, true, nil, ARGV[7])
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

-- Returns the lowest score of a set beyond `ms`, or nil.
local function first_after(set, ms)
  local first =
    redis.call('ZRANGEBYSCORE', set, '(' .. TEXT[ms], '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return tonumber(first[2])
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

local count, looks, gone_from = 0, {}, {}
local most = tonumber(ARGV[5])
local agents = redis.call('ZRANGEBYSCORE', P .. 'roster', '-inf', now, 'LIMIT', 0, AGENTS)
for _, agent in ipairs(agents) do
  local sessions = sweep_sessions(agent)
  local held, now = set_of('in_progress', agent), now
  local ended = redis.call('ZRANGEBYSCORE', held, '-inf', now, 'LIMIT', 0, most - count)
  for _, task in ipairs(#ended > 0 and fetch(ended) or {}) do
    take_back(task)
  end
  count = count + #ended
  -- The last agent may have more lost leases than one call handles.
  local at = count >= most and NOW or next_look(agent, sessions) or watched[agent]
  if at then
    looks[#looks + 1], looks[#looks + 2] = TEXT[math.min(at, watched[agent] or at)], agent
  else
    gone_from[#gone_from + 1] = agent
  end
  watched[agent] = nil
end
if #looks > 0 then
  write('ZADD', P .. 'roster', looks)
end
if #gone_from > 0 then
  write('ZREM', P .. 'roster', gone_from)
end
local is_more = #agents == AGENTS or count >= most
finish()
return { count, is_more and 0 or next_due(P .. 'roster') }
