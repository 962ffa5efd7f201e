-- reject: a human says no; the task is cancelled, or its agent, that asked, is told.
--
-- ARGV[5]   approval id
-- ARGV[6]   reason, a JSON string, or ''
-- ARGV[7]   what the task's error says, a JSON string
-- ARGV[8]   digest of what the caller saw
-- ARGV[9]   level at which the caller is one of those who may decide
-- ARGV[10]  where the caller is, or ''
--
-- Returns  `OK <task id>`, `UNKNOWN`, `OWN` (the caller submitted the task or asked), `LEVEL` (others may decide by now),
--          `CHANGED <digest>` (of what there is to decide by now), `ILLEGAL <state>` or `DECIDED <status> <when, ms> <by>`
local f, task, refusal = undecided(ARGV[5], 'reject', 'rejected')
refusal = refusal or misjudged(f, ARGV[8], ARGV[9])
if refusal then
  return refusal
end
audit('reject', 'approval:' .. f.id, { task_id = task.id, digest = f.digest, reason = plain(ARGV[6]) })
refuse(f, task, 'reject', 'rejected', ARGV[6] ~= '' and ARGV[6] or nil, ARGV[7])
finish()
return 'OK ' .. task.id
