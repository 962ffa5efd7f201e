-- sizes: the size of a task and its approval, before they are read.
-- Needs  record

-- The size in an answer besides the measured parts of a task or an approval, bytes.
local FRAME = 2048

-- Returns the size of the spec in bytes.
local function spec_size(task)
  if task.status.version == '1' then
    return sub(task.record, task.content + BYTES, task.content + BYTES_END)
  end
  return redis.call('HSTRLEN', P .. 'specs', task.id)
end

-- The fields of an approval that hold payloads.
local LARGE = { original = true, changes = true, action = true }

-- The fields of an approval in an answer, without those that FRAME has room for.
local SHOWN_FIELDS = {
  'original', 'changes', 'action', 'votes', 'gate', 'reason', 'comment', 'by', 'edited_by',
  'decided_by', 'title',
}

-- Returns the approval without its large fields, as names and values, and its size in bytes.
local function small_approval(key)
  local names, flat, size = {}, {}, FRAME
  for _, name in ipairs(redis.call('HKEYS', key)) do
    if not LARGE[name] then
      names[#names + 1] = name
    end
  end
  for nth, value in ipairs(read_fields(key, names)) do
    push(flat, names[nth], value)
    size = size + #value
  end
  return flat, size
end

-- Returns the approval `id` (or `-`) with the wanted fields, or nil if all of them are wanted and
-- still to be read; and its size in bytes.
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

-- How many bytes of a record an answer has at most: the words of the task, and why its last attempt
-- failed.
local SHOWN = 12288

-- Returns the largest size of the task in the answer to a claim, in bytes.
local function size_in_claim(task)
  local length = #task.record
  local size = FRAME + spec_size(task) + (length < SHOWN and length or SHOWN)
  local approval = task.status.approval
  if approval ~= '-' then
    local _, of_approval = approval_and_size(approval, true)
    size = size + of_approval
  end
  return size
end
