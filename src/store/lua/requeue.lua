-- requeue: somebody wants a failed or cancelled task done after all; its counters start again.
--
-- A task that nobody approved is blocked again under a new approval.
--
-- ARGV[5]  id
-- ARGV[6]  head starts of P0 to P3, ms, joined by commas
-- ARGV[7]  id of the new approval, should one be needed
-- ARGV[8]  how long an approval may wait, ms
--
-- Returns  `OK`, `UNKNOWN`, `ILLEGAL <state>` or, when sent again, `REPEATED <state>`
local task = load(ARGV[5])
local refusal = barred(task, 'requeue')
if refusal then
  return IS_AGAIN and task and RULES.requeue.to[task.state] and 'REPEATED ' .. task.state or refusal
end
local starts = {}
for text in string.gmatch(ARGV[6], '%d+') do
  starts[#starts + 1] = text
end
task.rank = NOW - starts[tonumber(string.sub(task.priority, 2)) + 1]
local fields = { 'rank', task.rank, 'retries', 0, 'lost', 0, 'error', '', 'due', '' }
local approval = redis.call('HGET', task.key, 'approval')
local old = approval and redis.call('HMGET', P .. 'approval:' .. approval, 'status', 'rule', 'by')
redis.call('HDEL', P .. 'results', task.id)
redis.call('HDEL', task.key, 'progress')
if old and old[1] ~= 'approved' then
  fields[#fields + 1], fields[#fields + 2] = 'approval', ARGV[7]
  move(task, 'requeue', 'blocked', NOW, fields)
  redis.call('ZREM', P .. 'approvals:' .. old[1], approval)
  redis.call('DEL', P .. 'approval:' .. approval)
  ask(task, ARGV[7], old[2], old[3], NOW + ARGV[8])
else
  move(task, 'requeue', 'pending', task.rank, fields)
end
finish()
return 'OK'
