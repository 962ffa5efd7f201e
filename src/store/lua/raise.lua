-- raise: raises the priority of a waiting task.
-- Needs  finish, decide, audit
--
-- The engine has checked that the new priority is higher, and needs no approval that the task does not
-- need as it is, against the priority and the content that it read.
--
-- ARGV[5]   id
-- ARGV[6]   head starts of P0 to P3, ms, joined by commas
-- ARGV[7]   the new priority
-- ARGV[8]   what the engine read: the priority and the version of the content
-- ARGV[9]   reason, a JSON string
-- ARGV[10]  the bulk that raises it, or ''; see barred in rules.lua
-- ARGV[11…] 2; see audit.lua
--
-- Returns  `OK <state>`, `UNKNOWN`, `ILLEGAL <state>`, `CHANGED` (the task is not what the engine
--          read); in a bulk also `REPEATED <state>`
local task = load(ARGV[5])
local refusal = barred(task, 'reprioritize', ARGV[10])
if refusal then
  return refusal
end
local status = task.status
if status.priority .. ' ' .. status.version ~= ARGV[8] then
  return 'CHANGED'
end
audit('reprioritize', 'task:' .. task.id,
  { priority = ARGV[7], previous_priority = status.priority, reason = plain(ARGV[9]) })
raise_to(task, ARGV[7], ARGV[6], ARGV[9])
finish()
return 'OK ' .. task.status.state
