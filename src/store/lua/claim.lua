-- claim: leases the first tasks of an agent's subject to one of its processes.
--
-- ARGV[5]  agent
-- ARGV[6]  worker: the process that asks
-- ARGV[7]  how many at the most
-- ARGV[8]  lease, ms
--
-- Returns  now, ms, then for each task a list: id, lease until (ms), its hash before the claim (a flat list), its spec.
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
local answer, ids, leased = { NOW }, {}, {}
for i = 1, #popped, 2 do
  local id = popped[i]
  local hash = redis.call('HGETALL', P .. 'task:' .. id)
  local f = {}
  for j = 1, #hash, 2 do
    f[hash[j]] = hash[j + 1]
  end
  if f.state and RULES.claim.from[f.state] then
    local task = {
      id = id, key = P .. 'task:' .. id, state = f.state, agent = f.agent, type = f.type, priority = f.priority,
      n = tonumber(f.n), rank = f.rank, attempt = tonumber(f.attempt or 0), trace = f.trace, traceparent = f.traceparent,
    }
    local lease_until = hold(task, 'claim', ARGV[8], f.timeout, worker, true)
    ids[#ids + 1] = id
    leased[#leased + 1] = { id, lease_until, hash }
  end
end
if #ids > 0 then
  for nth, spec in ipairs(redis.call('HMGET', P .. 'specs', unpack(ids))) do
    leased[nth][4] = spec or '{}'
    answer[nth + 1] = leased[nth]
  end
end
finish()
return answer
