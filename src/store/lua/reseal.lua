-- reseal: puts stored texts under another key, unless they have changed since they were read.
-- Needs  finish, seal
--
-- ARGV[5…]  5 for each text: its hash, `specs`, `results` or `approval:<id>`; its field; the text as
--           it was read; the text in its place; the size of that, as records have it
--
-- Returns  how many texts were replaced

-- Notes the size of a task's new spec, and seals its approval again if that was for the old one.
local function follow(task, old, new, size)
  -- The size comes first in the content.
  local at = task.content
  task.record = sub(task.record, 1, at) .. size .. sub(task.record, at + #size + 1)
  changed[#changed + 1] = task
  local key = P .. 'approval:' .. task.status.approval
  local f = redis.call('HMGET', key, 'digest', 'seal')
  if f[1] and f[2] == seal(task, f[1], old) then
    write('HSET', key, { 'seal', seal(task, f[1], new) })
  end
end

local count = 0
for i = 5, #ARGV, 5 do
  local hash, field, old, new = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if redis.call('HGET', P .. hash, field) == old then
    write('HSET', P .. hash, { field, new })
    local task = hash == 'specs' and load(field)
    if task then
      follow(task, old, new, ARGV[i + 4])
    end
    count = count + 1
  end
end
finish()
return count
