-- cancel: cancels the task, in any state that allows it.
--
-- ARGV[5]   id
-- ARGV[6]   reason, a JSON string, or ''
-- ARGV[7…]  2; see audit.lua
--
-- Returns  `OK`, `UNKNOWN`, `ILLEGAL <state>` or, if sent again, `REPEATED cancelled`
local task = load(ARGV[5])
local refusal = barred(task, 'cancel')
if refusal then
  return IS_AGAIN and task and task.state == 'cancelled' and 'REPEATED cancelled' or refusal
end
if task.state == 'blocked' then
  close(task.approval, 'cancelled')
end
local why = ARGV[6] ~= '' and ARGV[6] or nil
audit('cancel', 'task:' .. task.id, { previous_status = task.state, reason = plain(ARGV[6]) })
move(task, 'cancel', 'cancelled', NOW, why)
note_end(task, RANK)
finish()
return 'OK'
