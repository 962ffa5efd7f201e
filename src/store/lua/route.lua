-- route: puts the first pending tasks into their agents' subjects.
--
-- ARGV[5]  how many at the most
--
-- Returns  how many were taken from the queue
local popped = redis.call('ZPOPMIN', P .. 'pending', ARGV[5])
local agents, known = {}, {}
for i = 1, #popped, 2 do
  local task = load(popped[i])
  if not barred(task, 'route') then
    move(task, 'route', 'assigned', popped[i + 1], {}, nil, true)
    if not known[task.agent] then
      known[task.agent] = true
      agents[#agents + 1] = task.agent
    end
  end
end
if #agents > 0 then
  redis.call('SADD', P .. 'agents', unpack(agents))
end
finish()
return #popped / 2
