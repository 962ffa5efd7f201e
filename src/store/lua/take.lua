-- take: leases this very task to the caller.
--
-- ARGV[5]  id
-- ARGV[6]  lease, ms
--
-- Returns  `OK`, `UNKNOWN`, `ILLEGAL <state>` (also if its payload is lost) or, for the caller who holds it already,
--          `REPEATED in_progress`
local task = load(ARGV[5])
local refusal = barred(task, 'take')
if refusal then
  if task and task.state == 'in_progress' and detail(task).holder == ACTOR then
    return 'REPEATED in_progress'
  end
  return refusal
end
if redis.call('HEXISTS', P .. 'specs', task.id) == 0 then
  return 'ILLEGAL ' .. task.state
end
redis.call('SADD', P .. 'agents', task.agent)
hold(task, 'take', ARGV[6], ACTOR)
finish()
return 'OK'
