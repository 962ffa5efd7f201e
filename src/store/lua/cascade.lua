-- cascade: cancels some of the children of a cancelled task: those that are to end with it.
--
-- ARGV[5]  the parent's id
-- ARGV[6]  how many of its children to pass over, those of calls before
-- ARGV[7]  how many to look at
-- ARGV[8]  when it was cancelled, ms, if all children of all partitions are done, else ''
--
-- Returns  how many it looked at
local parent, from, count = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
-- None: beyond -1 would be all of them.
local ids = count < 1 and {}
  or redis.call('ZRANGE', P .. 'children:' .. parent, from, from + count - 1)
if #ids > 0 then
  fetch(ids)
end
for _, id in ipairs(ids) do
  local task = known[id]
  if not barred(task, 'cancel') and string.match(task.rest, '^[^\n]* (%S+)\n') == 'cancel' then
    if task.state == 'blocked' then
      close(task.approval, 'cancelled')
    end
    move(task, 'cancel', 'cancelled', NOW, '"its parent ' .. parent .. ' was cancelled"')
  end
end
-- Cancelled once more meanwhile: its children are looked at once more.
if ARGV[8] ~= '' and redis.call('ZSCORE', P .. 'cascade', parent) == ARGV[8] then
  append(gone, P .. 'cascade', parent)
end
finish()
return #ids
