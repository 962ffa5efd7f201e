-- reap: takes back tasks whose lease ended in silence.
--
-- A lost lease is not a failed attempt: it is counted apart, and fails the task only past its own cap.
-- An attempt that ran out of the task's own timeout is a failed one.
--
-- ARGV[5]  how many at the most
-- ARGV[6]  how many lost leases fail a task
-- ARGV[7]  waits by number of failures, ms, joined by commas
--
-- Returns  how many were taken back, and in how many ms the next lease ends (-1: none)
local count, soonest = 0, -1
for _, agent in ipairs(redis.call('SMEMBERS', P .. 'agents')) do
  local set = set_of('in_progress', agent)
  local ended = redis.call('ZRANGEBYSCORE', set, '-inf', NOW, 'LIMIT', 0, ARGV[5] - count)
  for _, id in ipairs(ended) do
    local task = load(id)
    if not barred(task, 'reap') then
      local f = redis.call('HMGET', task.key, 'lost', 'until')
      local lost = (f[1] or 0) + 1
      if f[2] and tonumber(f[2]) <= NOW then
        fail(task, 'reap', '"the attempt took longer than the task\'s timeout_ms"', true, nil, ARGV[7])
      elseif lost >= tonumber(ARGV[6]) then
        local why = '"lost ' .. lost .. ' leases: the agent fell silent on every one of them"'
        move(task, 'reap', 'failed', NOW, { 'lost', lost, 'error', why }, why, false, 'task.failed')
      else
        move(task, 'reap', 'assigned', task.rank, { 'lost', lost }, '"the lease ended in silence"')
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
