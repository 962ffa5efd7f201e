-- parts: how large a task and its approval are, before they are read.

-- What a task, or an approval, has in an answer beside what is measured, bytes.
local FRAME = 2048

-- How many bytes the spec has.
local function spec_size(task)
  if detail(task).version == '1' then
    return tonumber(task.bytes)
  end
  return redis.call('HSTRLEN', P .. 'specs', task.id)
end

-- The fields of an approval that hold payloads.
local LARGE = { original = true, changes = true, action = true }

-- The fields of an approval that are shown, but for those that FRAME has room for.
local SHOWN_FIELDS = { 'original', 'changes', 'action', 'votes', 'gate', 'reason', 'comment', 'by', 'edited_by', 'decided_by' }

-- The approval without its large fields, names and values, and how many bytes that are.
local function small_approval(key)
  local names, flat, size = {}, {}, FRAME
  for _, name in ipairs(redis.call('HKEYS', key)) do
    if not LARGE[name] then
      names[#names + 1] = name
    end
  end
  if #names > 0 then
    for nth, value in ipairs(read_fields(key, names)) do
      flat[#flat + 1], flat[#flat + 2] = names[nth], value
      size = size + #value
    end
  end
  return flat, size
end

-- The approval `id`, or `-`, as it is wanted, or nil where all of it is and is still to be read; and how many bytes it
-- has.
local function approval_and_size(id, has_all)
  if id == '-' then
    return {}, 0
  end
  local key = P .. 'approval:' .. id
  if not has_all then
    return small_approval(key)
  end
  local size = FRAME
  for _, name in ipairs(SHOWN_FIELDS) do
    size = size + redis.call('HSTRLEN', key, name)
  end
  return nil, size
end
