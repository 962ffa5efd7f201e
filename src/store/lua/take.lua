-- take: leases one given task to the caller.
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
  if task and task.state == 'in_progress' and task.holder == ACTOR then
    return 'REPEATED in_progress'
  end
  return refusal
end
local spec = redis.call('HGET', P .. 'specs', task.id)
if not spec then
  return 'ILLEGAL ' .. task.state
end
if not is_cleared(task, spec) then
  return 'UNCLEARED'
end
hold(task, 'take', ARGV[6], ACTOR)
finish()
return 'OK'
