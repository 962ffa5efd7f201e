-- pause: pauses or resumes the claims of an agent in this partition.
-- Needs  finish, audit
--
-- ARGV[5]   agent
-- ARGV[6]   `pause` or `resume`
-- ARGV[7…]  2; see audit.lua
--
-- Returns  1 if that changed something, else 0
local agent, verb = ARGV[5], ARGV[6]
local is_paused = redis.call('SISMEMBER', P .. 'paused', agent) == 1
local changed_it = is_paused == (verb == 'pause') and 0 or 1
look_at(agent, NOW + IDLE)
write(verb == 'pause' and 'SADD' or 'SREM', P .. 'paused', { agent })
-- Waiting claims look again.
wake('agent:' .. agent, 255)
-- The first partition counts for all.
if changed_it == 1 and find(P, '{0}', 1, true) then
  audit(verb, 'agent:' .. agent, {})
  local event = verb == 'pause' and 'agent.paused' or 'agent.resumed'
  emit_agent(event, agent, ',"actor":"' .. ACTOR .. '"')
end
finish()
return changed_it
