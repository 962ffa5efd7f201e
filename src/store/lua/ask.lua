-- ask: the agent that holds the task requests an approval for a risky step. Its lease ends.
--
-- ARGV[5]   id
-- ARGV[6]   attempt that the agent holds
-- ARGV[7]   holder, and
-- ARGV[8]   digest of the request; see barred_report
-- ARGV[9]   approval id
-- ARGV[10]  digest of the content with the action
-- ARGV[11]  gate; see approval.lua
-- ARGV[12]  reason, a JSON string
-- ARGV[13]  the action that the agent plans, JSON, or ''
-- ARGV[14]  what a rejection leads to: `cancel` the task, or `return` it to the agent
-- ARGV[15]  how often and how soon an agent may ask again; see barred_ask in approval.lua
--
-- Returns  `OK blocked`, `UNCLEARED` (the content differs from what was approved), `ASKS <number of
--          requests>`, `SOON <how long to wait, ms>`, or the answers of `outcome`
local task = load(ARGV[5])
local refusal = barred_report(task, 'ask', ARGV[6], ARGV[7], ARGV[8])
if refusal then
  return refusal
end
local spec = redis.call('HGET', P .. 'specs', task.id) or ''
if not is_cleared(task, spec) then
  return 'UNCLEARED'
end
local f = {
  id = ARGV[9], kind = 'ask', by = ACTOR, digest = ARGV[10], gate = ARGV[11], reason = ARGV[12],
  action = ARGV[13] ~= '' and ARGV[13] or nil, on_rejection = ARGV[14],
}
refusal = barred_ask(task, f, ARGV[15])
if refusal then
  return refusal
end
local g = open(task, f, spec)
task.more = ',' .. approval_json(task, f, g)
task.report = ARGV[8]
move(task, 'ask', 'blocked', NOW, ARGV[12])
finish()
return 'OK blocked'
