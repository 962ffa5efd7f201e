-- reject: a human says no; the task is cancelled.
--
-- ARGV[5]  approval id
-- ARGV[6]  reason, a JSON string, or ''
-- ARGV[7]  what the task's error says, a JSON string
--
-- Returns  `OK <task id>`, `UNKNOWN`, `OWN` (the caller submitted the task), `ILLEGAL <state>`
--          or `DECIDED <status> <when, ms> <by>`
local task, refusal = undecided(ARGV[5], 'reject', 'rejected')
if refusal then
  return refusal
end
refuse(ARGV[5], task, 'reject', 'rejected', ARGV[6] ~= '' and ARGV[6] or nil, ARGV[7])
finish()
return 'OK ' .. task.id
