-- reap: takes back tasks whose lease ended in silence.
--
-- A lost lease is not a failed attempt: it is counted apart, and fails the task only past its own cap.
-- An attempt that ran out of the task's own timeout is a failed one. Sessions that fell silent go too.
--
-- ARGV[5]  how many at the most
-- ARGV[6]  how many lost leases fail a task
-- ARGV[7]  waits by number of failures, ms, joined by commas
-- ARGV[8]  how long after its last call a session counts as live, ms
--
-- Returns  how many were taken back, and in how many ms the next lease ends (-1: none)
local count, soonest = 0, -1
for _, agent in ipairs(redis.call('SMEMBERS', P .. 'agents')) do
  local sessions = P .. 'sessions:' .. agent
  local silent_since = TEXT[NOW - ARGV[8]]
  local silent = redis.call('ZCOUNT', sessions, '-inf', silent_since)
  if silent > 0 then
    write('ZREMRANGEBYSCORE', sessions, { '-inf', silent_since })
    if silent == redis.call('ZCARD', sessions) then
      say_agent('agent.offline', agent)
    end
  end
  local set = set_of('in_progress', agent)
  local ended = redis.call('ZRANGEBYSCORE', set, '-inf', NOW, 'LIMIT', 0, ARGV[5] - count)
  if #ended > 0 then
    fetch(ended)
  end
  for _, id in ipairs(ended) do
    local task = known[id]
    if not barred(task, 'reap') then
      local d = detail(task)
      local lost = d.lost + 1
      if d.limit ~= '-' and tonumber(d.limit) <= NOW then
        fail(task, 'reap', '"the attempt took longer than the task\'s timeout_ms"', true, nil, ARGV[7])
      elseif lost >= tonumber(ARGV[6]) then
        d.lost = TEXT[lost]
        move(task, 'reap', 'failed', NOW, '"lost ' .. lost .. ' leases: the agent fell silent on every one of them"',
          false, 'task.failed')
      else
        d.lost = TEXT[lost]
        move(task, 'reap', 'assigned', task.rank, '"the lease ended in silence"')
      end
    end
  end
  count = count + #ended
  local first = redis.call('ZRANGEBYSCORE', set, '(' .. NOW, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if first[2] and (soonest < 0 or first[2] - NOW < soonest) then
    soonest = first[2] - NOW
  end
end
finish()
return { count, soonest }
