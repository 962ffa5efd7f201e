-- reject: an approver rejects. The task is cancelled, or goes back to the agent that asked.
-- Needs  finish, decide, audit
--
-- The engine has checked the caller's right to decide, against the approval at a revision.
--
-- ARGV[5]   approval id
-- ARGV[6]   revision
-- ARGV[7]   reason, a JSON string, or ''
-- ARGV[8]   the error of the task, a JSON string
-- ARGV[9…]  2; see audit.lua
--
-- Returns  `OK <task id>`, `UNKNOWN`, `STALE` (the approval has changed since that revision),
--          `ILLEGAL <state>` or `DECIDED <status> <when, ms> <by>`
local f, task, refusal = undecided(ARGV[5], 'reject', 'rejected')
refusal = refusal or is_stale(f, ARGV[6]) and 'STALE'
if refusal then
  return refusal
end
local details = { task_id = task.id, digest = f.digest, reason = plain(ARGV[7]) }
audit('reject', 'approval:' .. f.id, details)
refuse(f, task, 'reject', 'rejected', given(ARGV[7]), ARGV[8])
note_end(task, ROLE)
finish()
return 'OK ' .. task.id
