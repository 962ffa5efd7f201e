-- route: puts the first pending tasks into their agents' subjects.
--
-- ARGV[5]  how many at the most
--
-- Returns  how many it moved
local popped = redis.call('ZPOPMIN', P .. 'pending', ARGV[5])
if #popped == 0 then
  return 0
end
local ids, agents, seen, count = {}, {}, {}, 0
for i = 1, #popped, 2 do
  ids[#ids + 1] = popped[i]
end
fetch(ids)
local specs = specs_of(ids)
for nth, id in ipairs(ids) do
  local task = known[id]
  if not barred(task, 'route') and not is_cleared(task, specs[id]) then
    park(task)
  elseif not barred(task, 'route') then
    count = count + 1
    move(task, 'route', 'assigned', popped[nth * 2], nil, true)
    if not seen[task.agent] then
      seen[task.agent] = true
      agents[#agents + 1] = task.agent
    end
  end
end
if #agents > 0 then
  redis.call('SADD', P .. 'agents', unpack(agents))
end
finish()
return count
