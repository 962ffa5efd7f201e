-- seal: binds an approval to the content that it was given for.

-- Returns the seal of a content: the digest that approvers decide on, with the bytes that an agent
-- gets.
local function seal(task, digest, spec)
  return redis.sha1hex(digest .. '\n' .. task.type .. '\n' .. task.agent .. '\n' .. detail(task).version .. '\n' .. spec)
end

-- Returns whether an approval lets its task continue. It also does after a rejection if the agent
-- asked for that.
local function stands(status, on_rejection)
  return status == 'approved' or on_rejection == 'return' and (status == 'rejected' or status == 'expired')
end

-- Returns whether an agent may get the task: it needs no approval, or it has a valid one for its
-- current content.
local function is_cleared(task, spec)
  if task.approval == '-' then
    return true
  end
  local f = redis.call('HMGET', P .. 'approval:' .. task.approval, 'status', 'digest', 'seal', 'on_rejection')
  return stands(f[1], f[4]) and f[2] and f[3] == seal(task, f[2], spec or '')
end

-- Returns the newest approval of the task, names and values; an empty list if it has none.
local function approval_of(task)
  return task.approval ~= '-' and redis.call('HGETALL', P .. 'approval:' .. task.approval) or {}
end

-- Returns the specs of the tasks that have an approval, by id.
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

-- Puts back a popped task that may not continue, behind all others.
local PARKED = '9007199254740991'
local function park(task)
  if task.rank == PARKED then
    append(come, set_of(task.state, task.agent), PARKED, task.id)
  else
    task.rank = PARKED
    move(task, 'park', task.state, PARKED, '"its content is not what was approved"', true)
  end
end
