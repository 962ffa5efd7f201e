-- lapse: nobody decided in time, which means no; the tasks are cancelled.
--
-- ARGV[5]  how many at the most
--
-- Returns  how many lapsed, and when the next one does (ms, or -1)
local due = redis.call('ZRANGEBYSCORE', P .. 'approvals:pending', '-inf', NOW, 'LIMIT', 0, ARGV[5])
for _, approval in ipairs(due) do
  local task = undecided(approval, 'lapse', 'expired')
  if task and not barred(task, 'lapse') then
    refuse(approval, task, 'lapse', 'expired', nil, '"nobody decided on its approval in time"')
  end
end
finish()
local next_due = redis.call('ZRANGE', P .. 'approvals:pending', 0, 0, 'WITHSCORES')
return { #due, next_due[2] and next_due[2] - NOW or -1 }
