-- seal: ties an approval to the content that it was given for.

-- What an approval keeps of the content: the digest that humans decide on, and the bytes that an agent will get.
local function seal(task, digest, spec)
  return redis.sha1hex(digest .. '\n' .. task.type .. '\n' .. task.agent .. '\n' .. detail(task).version .. '\n' .. spec)
end

-- Whether an approval lets its task go on. An agent that asked to hear a no goes on with it.
local function stands(status, on_rejection)
  return status == 'approved' or on_rejection == 'return' and (status == 'rejected' or status == 'expired')
end

-- Whether the task may reach an agent: it needs no approval, or the one that it has stands and is for what it holds now.
local function is_cleared(task, spec)
  if task.approval == '-' then
    return true
  end
  local f = redis.call('HMGET', P .. 'approval:' .. task.approval, 'status', 'digest', 'seal', 'on_rejection')
  return stands(f[1], f[4]) and f[2] and f[3] == seal(task, f[2], spec or '')
end

-- The newest approval of the task, names and values; none: an empty list.
local function approval_of(task)
  return task.approval ~= '-' and redis.call('HGETALL', P .. 'approval:' .. task.approval) or {}
end

-- The specs of those of these tasks that have an approval, by id.
local function specs_of(ids)
  local gated, specs = {}, {}
  for _, id in ipairs(ids) do
    if known[id] and known[id].approval ~= '-' then
      gated[#gated + 1] = id
    end
  end
  if #gated > 0 then
    for nth, spec in ipairs(read_fields(P .. 'specs', gated)) do
      specs[gated[nth]] = spec
    end
  end
  return specs
end

-- Keeps a task that was popped, and may not go on, where it is: behind all others.
local PARKED = '9007199254740991'
local function park(task)
  if task.rank == PARKED then
    append(come, set_of(task.state, task.agent), PARKED, task.id)
  else
    task.rank = PARKED
    move(task, 'park', task.state, PARKED, '"its content is not what was approved"', true)
  end
end
