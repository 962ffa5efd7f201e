-- approve: a human says yes; the task may go on.
--
-- ARGV[5]  approval id
-- ARGV[6]  comment, a JSON string, or ''
-- ARGV[7]  where the caller is, or ''
--
-- Returns  `OK <task id>`, `UNKNOWN`, `OWN` (the caller submitted the task), `ILLEGAL <state>`
--          or `DECIDED <status> <when, ms> <by>`
local approval = ARGV[5]
local task, refusal = undecided(approval, 'approve', 'approved')
if refusal then
  return refusal
end
local comment = ARGV[6] ~= '' and ARGV[6] or nil
close(approval, 'approved', comment)
audit('approve', 'approval:' .. approval, { task_id = task.id, comment = plain(ARGV[6]) })
task.more = ',"approval_id":"' .. approval .. '"'
local due = tonumber(detail(task).due)
if due and due > NOW then
  move(task, 'approve', 'scheduled', due, comment)
else
  move(task, 'approve', 'pending', task.rank, comment)
end
finish()
return 'OK ' .. task.id
