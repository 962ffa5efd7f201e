-- requeue: somebody wants a failed or cancelled task done after all; its counters start again.
--
-- A task that needs an approval, and has none that stands, is blocked under a new one, on the terms of today. Its clocks
-- run again, with the time that they had.
--
-- ARGV[5]   id
-- ARGV[6]   head starts of P0 to P3, ms, joined by commas
-- ARGV[7]   id of the new approval, or '' if the task needs none
-- ARGV[8]   digest of the content, for the new approval
-- ARGV[9]   its gate; see approval.lua
-- ARGV[10]  where the caller is, or ''
--
-- Returns  `OK`, `UNKNOWN`, `ILLEGAL <state>` (also if the payload is lost) or, when sent again, `REPEATED <state>`
local task = load(ARGV[5])
local refusal = barred(task, 'requeue')
if refusal then
  return IS_AGAIN and task and RULES.requeue.to[task.state] and 'REPEATED ' .. task.state or refusal
end
local spec = redis.call('HGET', P .. 'specs', task.id)
if not spec then
  return 'ILLEGAL ' .. task.state
end
audit('requeue', 'task:' .. task.id, { previous_status = task.state })
local d = detail(task)
task.rank = TEXT[NOW - head_starts(ARGV[6])[task.priority]]
d.retries, d.lost, d.due = '0', '0', '-'
promise_again(task)
write('HDEL', P .. 'results', { task.id })
write('HDEL', P .. 'progress', { task.id })
local old = task.approval ~= '-' and load_approval(task.approval)
if ARGV[7] ~= '' and not (old and stands(old.status, old.on_rejection)) then
  move(task, 'requeue', 'blocked', NOW)
  -- The first request may be lost.
  local by = old and old.by or string.match(task.rest, '\n%d+ %S+ %S+ (%S+)')
  local f = { id = ARGV[7], kind = 'gate', by = by, digest = ARGV[8], gate = ARGV[9] }
  say_approval('approval.requested', task, f, open(task, f, spec))
else
  move(task, 'requeue', 'pending', task.rank)
end
finish()
return 'OK'
