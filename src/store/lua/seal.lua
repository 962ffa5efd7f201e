-- seal: binds an approval to the content that it was given for.
-- Needs  ranks

-- Returns the seal of a content: the digest that approvers decide on, with the bytes that an agent
-- gets.
local function seal(task, digest, spec)
  local status = task.status
  local facts = status.kind .. '\n' .. status.agent .. '\n' .. status.version
  return redis.sha1hex(digest .. '\n' .. facts .. '\n' .. spec)
end

-- Returns whether an approval lets its task continue. It also does after a rejection if the agent
-- asked for that.
local function stands(status, on_rejection)
  return status == 'approved'
    or on_rejection == 'return' and (status == 'rejected' or status == 'expired')
end

-- Returns whether an agent may get the task: it needs no approval, or it has a valid one for its
-- current content. `spec` is read if it is not given.
local function is_cleared(task, spec)
  local approval = task.status.approval
  if approval == '-' then
    return true
  end
  spec = spec or redis.call('HGET', P .. 'specs', task.id) or ''
  local key = P .. 'approval:' .. approval
  local f = redis.call('HMGET', key, 'status', 'digest', 'seal', 'on_rejection')
  return stands(f[1], f[4]) and f[2] and f[3] == seal(task, f[2], spec)
end

-- Returns the newest approval of the task, names and values; '' if it has none.
local function approval_of(task)
  local approval = task.status.approval
  return approval ~= '-' and redis.call('HGETALL', P .. 'approval:' .. approval) or ''
end

-- Puts back a popped task that may not continue, behind all others.
local function park(task)
  if rank(task) == PARKED then
    append(come, set_of(task.status.state, task.status.agent), PARKED, task.id)
  else
    set_times(task, nil, nil, PARKED)
    move(task, 'park', { reason = '"its content is not what was approved"', is_popped = true })
  end
end
