-- claim: leases the first tasks of an agent's subject to one of its processes.
--
-- A task whose payload is lost is failed instead: nobody is given a task without what it asks for.
--
-- ARGV[5]  agent
-- ARGV[6]  worker: the process that asks
-- ARGV[7]  how many at the most
-- ARGV[8]  lease, ms
--
-- Returns  now, ms, then for each task a list: id, lease until (ms), its record, its spec, its newest approval as names and
--          values.
--          Just the time if the subject is empty or the agent is paused.
local agent, worker = ARGV[5], ARGV[6]
if redis.call('ZADD', P .. 'sessions:' .. agent, NOW, worker) == 1 then
  redis.call('SADD', P .. 'agents', agent)
  if redis.call('ZCARD', P .. 'sessions:' .. agent) == 1 then
    say_agent('agent.online', agent, worker)
  end
end
if redis.call('SISMEMBER', P .. 'paused', agent) == 1 then
  finish()
  return { NOW }
end
local popped = redis.call('ZPOPMIN', P .. 'assigned:' .. agent, ARGV[7])
local answer, ids, held = { NOW }, {}, {}
for i = 1, #popped, 2 do
  ids[#ids + 1] = popped[i]
end
if #ids > 0 then
  fetch(ids)
  local specs = redis.call('HMGET', P .. 'specs', unpack(ids))
  for nth, id in ipairs(ids) do
    local task = known[id]
    if not barred(task, 'claim') then
      if not specs[nth] then
        move(task, 'mend', 'failed', NOW, '"its payload is lost"', true)
      elseif is_cleared(task, specs[nth]) then
        held[#held + 1] = { task, TEXT[hold(task, 'claim', ARGV[8], worker, true)], specs[nth] }
      else
        park(task)
      end
    end
  end
end
finish()
for nth, row in ipairs(held) do
  answer[nth + 1] = { row[1].id, row[2], pack(row[1]), row[3], approval_of(row[1]) }
end
return answer
