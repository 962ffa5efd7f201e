-- promote: makes scheduled tasks that are due pending.
-- Needs  finish, move
--
-- ARGV[5]  how many at most
--
-- Returns  how many moved, and in how many ms the next one is due (-1: none)
local due = redis.call('ZRANGEBYSCORE', P .. 'scheduled', '-inf', NOW, 'LIMIT', 0, ARGV[5])
for _, task in ipairs(#due > 0 and fetch(due) or {}) do
  if not barred(task, 'promote') then
    edit(task).due = '-'
    move(task, 'promote')
  end
end
finish()
return { #due, next_due(P .. 'scheduled') }
