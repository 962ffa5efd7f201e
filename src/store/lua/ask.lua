-- ask: the agent that holds the task asks a human before a risky step; its lease ends.
--
-- ARGV[5]   id
-- ARGV[6]   attempt the agent holds, the fencing token
-- ARGV[7]   approval id
-- ARGV[8]   digest of the content with the action
-- ARGV[9]   gate; see approval.lua
-- ARGV[10]  why it asks, a JSON string
-- ARGV[11]  what it wants to do, JSON, or ''
-- ARGV[12]  what a no means: `cancel` the task, or `return` it to the agent
--
-- Returns  `OK blocked`, `REPEATED blocked`, `UNKNOWN`, `CANCELLED`, `ILLEGAL <state>`, `LEASE <newest attempt>` or
--          `UNCLEARED` (the content is not what was approved)
local task = load(ARGV[5])
local refusal = barred_report(task, 'ask', ARGV[6])
if refusal then
  return refusal
end
local spec = redis.call('HGET', P .. 'specs', task.id) or ''
if not is_cleared(task, spec) then
  return 'UNCLEARED'
end
local f = {
  id = ARGV[7], kind = 'ask', by = ACTOR, digest = ARGV[8], gate = ARGV[9], reason = ARGV[10],
  action = ARGV[11] ~= '' and ARGV[11] or nil, on_rejection = ARGV[12],
}
local g = open(task, f, spec)
task.more = ',' .. approval_json(task, f, g)
move(task, 'ask', 'blocked', NOW, ARGV[10])
finish()
return 'OK blocked'
