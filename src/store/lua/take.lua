-- take: leases one given task to the caller.
-- Needs  finish, lease, seal
--
-- ARGV[5]  id
-- ARGV[6]  lease, ms
--
-- Returns  `OK`, `UNKNOWN`, `ILLEGAL <state>` (also if its payload is lost), `UNCLEARED` (the
--          content differs from what was approved) or, for the caller that holds it already,
--          `REPEATED in_progress`
local task = load(ARGV[5])
local refusal = barred(task, 'take')
if refusal then
  local state = task and task.status.holder == ACTOR and task.status.state
  return RULES.take.to[state] and 'REPEATED ' .. state or refusal
end
local spec = redis.call('HGET', P .. 'specs', task.id)
if not spec then
  return 'ILLEGAL ' .. task.status.state
end
if not is_cleared(task, spec) then
  return 'UNCLEARED'
end
lease_ms, lease_holder = ARGV[6], ACTOR
hold(task, 'take')
finish()
return 'OK'
