-- promote: makes scheduled tasks that are due pending.
-- Needs  finish, move
--
-- ARGV[5]  how many at most
--
-- Returns  how many moved, and in how many ms the next one is due (-1: none)
local due = due_in(P .. 'scheduled', ARGV[5])
for _, task in ipairs(fetch(due)) do
  if not barred(task, 'promote') then
    edit(task).due = '-'
    move(task, 'promote')
  end
end
finish()
return { #due, next_due(P .. 'scheduled') }
