-- read: tasks as they are now.
--
-- ARGV[5…]  ids
--
-- Returns  now, ms, then for each task that there is a list: id, lease until (ms, or -1), its record, its spec, its
--          result or '', its progress or '', its newest approval as names and values
local answer, ids = { NOW }, ids_of(5, 1)
fetch(ids)
local specs = read_fields(P .. 'specs', ids)
local results = read_fields(P .. 'results', ids)
local progress = read_fields(P .. 'progress', ids)
for nth, id in ipairs(ids) do
  local task = known[id]
  if task then
    local lease_until = task.state == 'in_progress' and redis.call('ZSCORE', set_of(task.state, task.agent), id)
    answer[#answer + 1] = { id, lease_until or -1, pack(task), specs[nth] or '{}', results[nth] or '', progress[nth] or '',
      approval_of(task) }
  end
end
return answer
