-- cancel: cancels the task, in any state that allows it.
-- Needs  finish, approval, audit
--
-- ARGV[5]   id
-- ARGV[6]   reason, a JSON string, or ''
-- ARGV[7…]  2; see audit.lua
--
-- Returns  `OK`, `UNKNOWN`, `ILLEGAL <state>` or, if sent again, `REPEATED cancelled`
local task = load(ARGV[5])
local refusal = barred(task, 'cancel')
if refusal then
  local is_done = IS_AGAIN and task and task.status.state == 'cancelled'
  return is_done and 'REPEATED cancelled' or refusal
end
local status = task.status
if status.state == 'blocked' then
  close(status.approval, 'cancelled')
end
audit('cancel', 'task:' .. task.id, { previous_status = status.state, reason = plain(ARGV[6]) })
move(task, 'cancel', { reason = ARGV[6] ~= '' and ARGV[6] or nil })
note_end(task, ROLE)
finish()
return 'OK'
