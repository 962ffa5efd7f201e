-- approval: requests and closes approvals.
-- Needs  gate, seal

-- Adds an event about an approval. `rest` is more of the payload, JSON from the comma on.
local function say_approval(event, task, f, g, rest)
  emit(event, task, ',"agent":"' .. task.status.agent .. '",' .. approval_json(task, f, g) .. (rest or ''))
end

-- Writes fields of a pending approval, names and values, and increases its revision: a decision
-- that was checked against the old fields is checked again.
local function amend(f, fields)
  f.revision = TEXT[(f.revision or 0) + 1]
  fields[#fields + 1], fields[#fields + 2] = 'revision', f.revision
  write('HSET', P .. 'approval:' .. f.id, fields)
end

-- How many bytes of authors an approval keeps. Further authors count as authors of every payload.
local MOST_AUTHORS = 16384

-- Returns the authors with one more. Each line has the digest of a payload (`*` for every one) and
-- its author.
local function with_author(authors, payload)
  local line = (#authors < MOST_AUTHORS and payload or '*') .. ' ' .. ACTOR .. '\n'
  return string.find(authors, line, 1, true) and authors or authors .. line
end

-- Requests an approval for the task.
--
-- f     its hash: id, kind (`gate`: the policy requires it, `ask`: the agent requests it), by,
--       digest, gate and, of an ask, reason, action, on_rejection; asks: how often agents requested
--       approvals for the task, if that has changed
-- spec  of the task
local function open(task, f, spec)
  local g = read_gate(f.gate)
  local expires_at = lasts_until(g, 0)
  f.task, f.status, f.requested_at, f.expires_at = task.id, 'pending', now, expires_at and TEXT[expires_at] or ''
  f.level, f.votes, f.seal, f.type = '0', '[]', seal(task, f.digest, spec), task.status.kind
  f.title = title_of(task)
  local old = task.status.approval
  if old ~= '-' and old ~= f.id then
    f.previous = old
    -- Changes by approvers stay visible in later approvals.
    local past = redis.call('HMGET', P .. 'approval:' .. f.previous, 'edited_by', 'original', 'changes', 'authors',
      'asks')
    f.edited_by, f.original, f.changes, f.authors = past[1] or nil, past[2] or nil, past[3] or nil, past[4] or nil
    f.asks = f.asks or past[5] or nil
  end
  local fields = {}
  for name, value in pairs(f) do
    if name ~= 'id' then
      fields[#fields + 1], fields[#fields + 2] = name, value
    end
  end
  write('HSET', P .. 'approval:' .. f.id, fields)
  approvals[f.id] = f
  append(come, P .. 'approvals:pending', TEXT[expires_at or NEVER], f.id)
  if g.remind ~= '-' then
    append(come, P .. 'reminders', TEXT[NOW + g.remind], f.id)
  end
  edit(task).approval, task.packed = f.id, nil
  return g
end

-- Returns the approval as it will be after finish().
local function load_approval(id)
  if approvals[id] then
    return approvals[id]
  end
  local flat = redis.call('HGETALL', P .. 'approval:' .. id)
  local f = { id = id }
  for i = 1, #flat, 2 do
    f[flat[i]] = flat[i + 1]
  end
  approvals[id] = f
  return f
end

-- Writes the decision on a pending approval; `comment` is a JSON string or nil.
local function close(id, status, comment)
  append(gone, P .. 'approvals:pending', id)
  append(gone, P .. 'reminders', id)
  append(come, P .. 'approvals:' .. status, now, id)
  write('HSET', P .. 'approval:' .. id, { 'status', status, 'decided_by', ACTOR, 'decided_at', now,
    'comment', comment or '' })
  if approvals[id] then
    approvals[id].status = status
  end
end

