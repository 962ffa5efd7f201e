-- reject: a human says no; the task is cancelled.
--
-- ARGV[5]  approval id
-- ARGV[6]  reason, a JSON string, or ''
-- ARGV[7]  what the task's error says, a JSON string
-- ARGV[8]  where the caller is, or ''
--
-- Returns  `OK <task id>`, `UNKNOWN`, `OWN` (the caller submitted the task), `ILLEGAL <state>`
--          or `DECIDED <status> <when, ms> <by>`
local task, refusal = undecided(ARGV[5], 'reject', 'rejected')
if refusal then
  return refusal
end
audit('reject', 'approval:' .. ARGV[5], { task_id = task.id, reason = plain(ARGV[6]) })
refuse(ARGV[5], task, 'reject', 'rejected', ARGV[6] ~= '' and ARGV[6] or nil, ARGV[7])
finish()
return 'OK ' .. task.id
