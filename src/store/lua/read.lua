-- read: reads tasks as they are now.
-- Needs  seal, sizes
--
-- ARGV[5]   the large parts to read: a word with `s` for specs, `r` for results, `a` for the
--           payloads of approvals
-- ARGV[6]   how many bytes to read; the first task is read at any size
-- ARGV[7…]  ids
--
-- Returns  now, ms; how many ids were looked at, from the first; then for each task among them a
--          list: id, lease until (ms, or -1), its record, its spec, its result or '', its progress
--          or '', its newest approval as names and values
local parts, budget = ARGV[5], tonumber(ARGV[6])
local has_specs = string.find(parts, 's', 1, true)
local has_results = string.find(parts, 'r', 1, true)
local has_all = string.find(parts, 'a', 1, true)
local all = ids_of(7, 1)

-- How many records are read at once.
local AT_ONCE = 25

local answer, used = { NOW, #all }, 0
for first = 1, #all, AT_ONCE do
  local ids = {}
  for nth = first, math.min(first + AT_ONCE - 1, #all) do
    ids[#ids + 1] = all[nth]
  end
  local progress = read_fields(P .. 'progress', ids)
  for nth, task in ipairs(fetch(ids)) do
    local id, status = ids[nth], task and task.status
    if task then
      local approval, size = approval_and_size(status.approval, has_all)
      size = size + FRAME + #task.record + (has_specs and spec_size(task) or 0)
        + (has_results and redis.call('HSTRLEN', P .. 'results', id) or 0)
      if used > 0 and used + size > budget then
        answer[2] = first + nth - 2
        return answer
      end
      used = used + size
      local lease_until = STATES[status.state].order == 'lease'
        and redis.call('ZSCORE', set_of(status.state, status.agent), id)
      answer[#answer + 1] = {
        id, lease_until or -1, task.record,
        has_specs and redis.call('HGET', P .. 'specs', id) or '{}',
        has_results and redis.call('HGET', P .. 'results', id) or '', progress[nth] or '',
        approval or approval_of(task),
      }
    end
  end
end
return answer
