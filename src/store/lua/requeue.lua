-- requeue: somebody wants a failed or cancelled task done after all; its counters start again.
--
-- A task that nobody approved is blocked again under a new approval.
--
-- ARGV[5]  id
-- ARGV[6]  head starts of P0 to P3, ms, joined by commas
-- ARGV[7]  id of the new approval, should one be needed
-- ARGV[8]  how long an approval may wait, ms
-- ARGV[9]  where the caller is, or ''
--
-- Returns  `OK`, `UNKNOWN`, `ILLEGAL <state>` (also if the payload is lost) or, when sent again, `REPEATED <state>`
local task = load(ARGV[5])
local refusal = barred(task, 'requeue')
if refusal then
  return IS_AGAIN and task and RULES.requeue.to[task.state] and 'REPEATED ' .. task.state or refusal
end
if redis.call('HEXISTS', P .. 'specs', task.id) == 0 then
  return 'ILLEGAL ' .. task.state
end
audit('requeue', 'task:' .. task.id, { previous_status = task.state })
local starts = {}
for text in string.gmatch(ARGV[6], '%d+') do
  starts[#starts + 1] = text
end
local d = detail(task)
task.rank = TEXT[NOW - starts[tonumber(string.sub(task.priority, 2)) + 1]]
d.retries, d.lost, d.due = '0', '0', '-'
redis.call('HDEL', P .. 'results', task.id)
redis.call('HDEL', P .. 'progress', task.id)
local approval = d.approval
local old = approval ~= '-' and redis.call('HMGET', P .. 'approval:' .. approval, 'status', 'rule', 'by')
if old and old[1] ~= 'approved' then
  d.approval = ARGV[7]
  move(task, 'requeue', 'blocked', NOW)
  if old[1] then
    redis.call('ZREM', P .. 'approvals:' .. old[1], approval)
    redis.call('DEL', P .. 'approval:' .. approval)
  end
  local submitter = string.match(task.rest, '\n%d+ %S+ %S+ (%S+)')
  ask(task, ARGV[7], old[2] or '"the first request for an approval was lost"', old[3] or submitter, NOW + ARGV[8])
else
  move(task, 'requeue', 'pending', task.rank)
end
finish()
return 'OK'
