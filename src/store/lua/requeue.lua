-- requeue: makes a failed or cancelled task open again; its counters start again.
-- Needs  finish, decide, audit
--
-- An approval counts for one run only: a task that needs one, or had one, is blocked under a new
-- one with the current terms. Only a human of the same or a higher rank reopens what a human ended.
-- The clocks of the task start again with the same durations.
--
-- ARGV[5]    id
-- ARGV[6]    head starts of P0 to P3, ms, joined by commas
-- ARGV[7]    id of the new approval, or '' if the task needs none
-- ARGV[8]    digest of the content, for the new approval
-- ARGV[9]    its gate; see gate.lua
-- ARGV[10]   what it was made for: the task's newest approval, or `-`, and the version of its
-- content
-- ARGV[11]   how often and how soon a caller that is not human may ask again; see barred_ask in
--            decide.lua
-- ARGV[12]   reason, a JSON string, or ''
-- ARGV[13]   the bulk that requeues it, or ''; see barred in rules.lua
-- ARGV[14…]  2; see audit.lua
--
-- Returns  `OK`, `UNKNOWN`, `ILLEGAL <state>` (also if the payload is lost), `HUMAN <rank>` (of the
--          human that ended it), `ASKS <number of requests by agents>`, `SOON <how long to wait,
--          ms>`, `CHANGED` (the new approval was made for another content) or, if sent again,
--          `REPEATED <state>`; in a bulk also `REPEATED <state>` or `CHANGED`
local task = load(ARGV[5])
local refusal = barred(task, 'requeue', ARGV[13])
if refusal then
  local is_done = IS_AGAIN and task and RULES.requeue.to[task.status.state]
  return is_done and 'REPEATED ' .. task.status.state or refusal
end
local spec = redis.call('HGET', P .. 'specs', task.id)
if not spec then
  return 'ILLEGAL ' .. task.status.state
end
local status = task.status
if status.ended ~= '-' and tonumber(ROLE) < tonumber(status.ended) then
  return 'HUMAN ' .. status.ended
end
if status.approval .. ' ' .. status.version ~= ARGV[10] then
  return 'CHANGED'
end
local f
if ARGV[7] ~= '' then
  local old = status.approval ~= '-' and load_approval(status.approval)
  -- The first approval may be lost.
  local by = old and old.by or select(2, submission_of(task))
  f = { id = ARGV[7], kind = 'gate', by = by, digest = ARGV[8], gate = ARGV[9], asks = '0' }
  refusal = tonumber(ROLE) < HUMAN and barred_ask(task, f, ARGV[11])
  if refusal then
    return refusal
  end
end
audit('requeue', 'task:' .. task.id,
  { previous_status = status.state, reason = plain(ARGV[12]) })
status = edit(task)
status.retries, status.lost, status.human, status.sla = '0', '0', '0', 0
status.due, status.ended = '-', '-'
set_times(task, nil, NO_TIME, rank_text(NOW - head_starts(ARGV[6])[status.priority]))
-- The clocks start again.
restart(task, promise(task), NOW)
write('HDEL', P .. 'results', { task.id })
write('HDEL', P .. 'progress', { task.id })
if f then
  move(task, 'requeue', { to = 'blocked', reason = given(ARGV[12]) })
  say_approval('approval.requested', task, f, open(task, f, spec))
else
  move(task, 'requeue', { to = 'pending', reason = given(ARGV[12]) })
end
finish()
return 'OK'
