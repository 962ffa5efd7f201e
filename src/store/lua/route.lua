-- route: routes the first pending tasks to their agents' subjects.
--
-- ARGV[5]  how many at most
--
-- Returns  how many it moved
local ids, places = first_of(P .. 'pending', ARGV[5])
if #ids == 0 then
  return 0
end
local count = 0
fetch(ids)
local specs = specs_of(ids)
for nth, id in ipairs(ids) do
  local task = known[id]
  if not barred(task, 'route') and not is_cleared(task, specs[id]) then
    park(task)
  elseif not barred(task, 'route') then
    count = count + 1
    move(task, 'route', 'assigned', places[nth], nil, true)
  end
end
finish()
return count
