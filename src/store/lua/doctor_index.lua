-- doctor_index: checks groups of the index of tasks.
-- Needs  findings, index
--
-- ARGV[5]   1 to repair what is found, 0 to search only
-- ARGV[6…]  groups
--
-- Returns  as doctor_tasks

-- Returns the ids of a group, each once.
local function ids_in(group)
  local ids, seen = {}, {}
  for id in string.gmatch(group, '%S+') do
    if not seen[id] then
      seen[id], ids[#ids + 1] = true, id
    end
  end
  return ids
end

-- Returns a repair that takes a task out of a group.
local function out_of(id, group, score)
  return function()
    leave_group(id, group, score)
  end
end

local function check(id, facts, group, score)
  if facts == nil then
    note_finding(id, 'record_missing', { 'the index of tasks' }, out_of(id, group, score))
  elseif not facts then
    note_finding(id, 'record_unreadable_in', { 'the index of tasks' }, out_of(id, group, score))
  elseif group_of(id, facts.accepted) ~= group then
    note_finding(id, 'index_misplaced', { score }, function()
      leave_group(id, group, score)
      if not group_of(id, facts.accepted) then
        append(come, P .. 'tasks', facts.accepted .. '000', id)
      end
    end)
  end
end

for nth = 6, #ARGV do
  local group = ARGV[nth]
  local score = redis.call('ZSCORE', P .. 'tasks', group)
  if score then
    local ids = ids_in(group)
    local found = read_all(ids)
    for _, id in ipairs(ids) do
      check(id, found[id], group, score)
    end
  end
end
write_groups()
finish()
return findings
