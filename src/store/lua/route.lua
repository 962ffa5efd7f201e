-- route: routes the first pending tasks to their agents' subjects.
-- Needs  finish, seal
--
-- ARGV[5]  how many at most
--
-- Returns  how many it moved
local ids = first_of(P .. 'pending', ARGV[5])
if #ids == 0 then
  return 0
end
local count = 0
for _, task in ipairs(fetch(ids)) do
  local is_routable = not barred(task, 'route')
  if is_routable and is_cleared(task) then
    count = count + 1
    move(task, 'route', POPPED)
  elseif is_routable then
    park(task)
  end
end
finish()
return count
