-- route: routes the first pending tasks to their agents' subjects.
-- Needs  finish, seal
--
-- ARGV[5]  how many at most
--
-- Returns  how many it moved
if redis.call('EXISTS', KEYS[1] .. 'pending') == 0 then
  return 0
end
-- Begin
local pending = P .. 'pending'
local ids = redis.call('ZRANGE', pending, 0, ARGV[5] - 1)
typed[pending] = true
write('ZREMRANGEBYRANK', pending, { 0, #ids - 1 })
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
