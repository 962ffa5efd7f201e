-- claim: leases the first tasks of an agent's subject to one of its processes.
--
-- A task whose payload is lost is failed instead: nobody is given a task without what it asks for.
--
-- ARGV[5]  agent
-- ARGV[6]  worker: the process that asks
-- ARGV[7]  how many at the most
-- ARGV[8]  lease, ms
-- ARGV[9]  the lease as the store keeps it, which reports on these attempts must match
--
-- Returns  now, ms, then for each task a list: id, lease until (ms), its record, its spec, its newest approval as names and
--          values.
--          Just the time if the subject is empty or the agent is paused.
local agent, worker = ARGV[5], ARGV[6]
local sessions = P .. 'sessions:' .. agent
write('ZADD', sessions, { TEXT[NOW], worker })
if not redis.call('ZSCORE', sessions, worker) then
  write('SADD', P .. 'agents', { agent })
  if redis.call('ZCARD', sessions) == 0 then
    say_agent('agent.online', agent, worker)
  end
end
if redis.call('SISMEMBER', P .. 'paused', agent) == 1 then
  finish()
  return { NOW }
end
local ids = first_of(P .. 'assigned:' .. agent, ARGV[7])
local answer = { NOW }
if #ids > 0 then
  fetch(ids)
  local specs = read_fields(P .. 'specs', ids)
  for nth, id in ipairs(ids) do
    local task = known[id]
    if not barred(task, 'claim') then
      if not specs[nth] then
        move(task, 'mend', 'failed', NOW, '"its payload is lost"', true)
      elseif is_cleared(task, specs[nth]) then
        local lease_until = TEXT[hold(task, 'claim', ARGV[8], ARGV[9], true)]
        answer[#answer + 1] = { id, lease_until, pack(task), specs[nth], approval_of(task) }
      else
        park(task)
      end
    end
  end
end
finish()
return answer
