-- cancel: cancels the task, in any state that allows it.
-- Needs  finish, approval, audit
--
-- ARGV[5]   id
-- ARGV[6]   reason, a JSON string, or ''
-- ARGV[7]   the bulk that cancels it, or ''; see barred in rules.lua
-- ARGV[8…]  2; see audit.lua
--
-- Returns  `OK`, `UNKNOWN`, `ILLEGAL <state>` or, if sent again, `REPEATED cancelled`; in a bulk
--          also `REPEATED <state>` or `CHANGED`
local task = load(ARGV[5])
local refusal = barred(task, 'cancel', ARGV[7])
if refusal then
  local state = IS_AGAIN and task and task.status.state
  return RULES.cancel.to[state] and 'REPEATED ' .. state or refusal
end
local details = { previous_status = task.status.state, reason = plain(ARGV[6]) }
withdraw(task)
audit('cancel', 'task:' .. task.id, details)
move(task, 'cancel', { reason = given(ARGV[6]) })
note_end(task, ROLE)
finish()
return 'OK'
