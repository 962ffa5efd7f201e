-- cascade: cancels those children of a cancelled task that end with it.
-- Needs  finish, approval
--
-- ARGV[5]  the parent's id
-- ARGV[6]  how many of its children to skip, which earlier calls have checked
-- ARGV[7]  how many to check
-- ARGV[8]  when the parent was cancelled, ms, if all children of all partitions are done, else ''
--
-- Returns  how many it checked
local parent, from, count = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
-- Without any to check, a range to -1 would be all of them.
local ids = count < 1 and {}
  or redis.call('ZRANGE', P .. 'children:' .. parent, from, from + count - 1)
for _, task in ipairs(fetch(ids)) do
  if not barred(task, 'cancel') and cut_content(task.record, task.content).cascade == 'cancel' then
    withdraw(task)
    move(task, 'cancel', { reason = '"its parent ' .. parent .. ' was cancelled"' })
  end
end
-- If the parent was cancelled again since then, its children are checked again.
if ARGV[8] ~= '' and redis.call('ZSCORE', P .. 'cascade', parent) == ARGV[8] then
  append(gone, P .. 'cascade', parent)
end
finish()
return #ids
