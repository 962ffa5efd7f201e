-- ask: the agent that holds the task requests an approval for a risky step. Its lease ends.
-- Needs  finish, decide
--
-- ARGV[5]   id
-- ARGV[6]   proof that the agent holds the task, and
-- ARGV[7]   digest of the request; see barred_report
-- ARGV[8]   approval id
-- ARGV[9]   digest of the content with the action
-- ARGV[10]  gate; see gate.lua
-- ARGV[11]  reason, a JSON string
-- ARGV[12]  the action that the agent plans, JSON, or ''
-- ARGV[13]  what a rejection leads to: `cancel` the task, or `return` it to the agent
-- ARGV[14]  how often and how soon an agent may ask again; see barred_ask in decide.lua
--
-- Returns  `OK blocked`, `UNCLEARED` (the content differs from what was approved), `ASKS <number of
--          requests>`, `SOON <how long to wait, ms>`, or the answers of `outcome`
local task = load(ARGV[5])
local refusal = barred_report(task, 'ask', ARGV[6], ARGV[7])
if refusal then
  return refusal
end
local spec = redis.call('HGET', P .. 'specs', task.id) or ''
if not is_cleared(task, spec) then
  return 'UNCLEARED'
end
local f = {
  id = ARGV[8], kind = 'ask', by = ACTOR, digest = ARGV[9], gate = ARGV[10], reason = ARGV[11],
  action = given(ARGV[12]), on_rejection = ARGV[13],
}
refusal = barred_ask(task, f, ARGV[14])
if refusal then
  return refusal
end
local more = approval_json(task, f, open(task, f, spec))
move(task, 'ask', { reason = ARGV[11], more = more, report = ARGV[7] })
finish()
return 'OK blocked'
