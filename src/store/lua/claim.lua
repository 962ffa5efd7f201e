-- claim: leases the first tasks of an agent's subject to one of its processes.
--
-- A task whose payload is lost is failed instead: nobody is given a task without what it asks for.
--
-- ARGV[5]  agent
-- ARGV[6]  worker: the process that asks
-- ARGV[7]  how many at the most
-- ARGV[8]  lease, ms
-- ARGV[9]  the lease as the store keeps it, which reports on these attempts must match
-- ARGV[10] how long after its last call a session counts as live, ms
-- ARGV[11] how many sessions of an agent are remembered: those that called last
-- ARGV[12] how many agents the roster may have for this one to be new in it, or '' for an agent that
--          has a place
--
-- Returns  now, ms, then for each task a list: id, lease until (ms), its record, its spec, its newest approval as names and
--          values.
--          Just the time if the subject is empty or the agent is paused; -1 if the roster is full.
local agent, worker = ARGV[5], ARGV[6]
local sessions, most = P .. 'sessions:' .. agent, tonumber(ARGV[12])
if most and not redis.call('ZSCORE', P .. 'roster', agent)
  and redis.call('ZCARD', P .. 'roster') >= most then
  return { -1 }
end
write('ZADD', sessions, { TEXT[NOW], worker })
if not redis.call('ZSCORE', sessions, worker) then
  look_at(agent, NOW + ARGV[10])
  local live = redis.call('ZCARD', sessions)
  local excess = math.min(live + 1 - ARGV[11], 100)
  if live == 0 then
    say_agent('agent.online', agent, worker)
  elseif excess > 0 then
    write('ZREMRANGEBYRANK', sessions, { 0, excess - 1 })
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
