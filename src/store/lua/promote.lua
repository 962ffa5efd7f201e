-- promote: makes scheduled tasks that are due pending.
--
-- ARGV[5]  how many at most
--
-- Returns  how many moved, and in how many ms the next one is due (-1: none)
local due = redis.call('ZRANGEBYSCORE', P .. 'scheduled', '-inf', NOW, 'LIMIT', 0, ARGV[5])
if #due > 0 then
  fetch(due)
end
for _, id in ipairs(due) do
  local task = known[id]
  if not barred(task, 'promote') then
    detail(task).due = '-'
    move(task, 'promote', 'pending', task.rank)
  end
end
finish()
return { #due, next_due(P .. 'scheduled') }
