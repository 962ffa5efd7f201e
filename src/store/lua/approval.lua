-- approval: requests and closes approvals.
-- Needs  gate, seal

-- Adds an event about an approval. `rest` is more of the payload, JSON from the comma on.
local function say_approval(event, task, f, g, rest)
  local agent = ',"agent":"' .. string.match(task.status.agent, '^[^@]+') .. '"'
  emit(event, task, agent .. approval_json(task, f, g) .. (rest or ''))
end

-- Writes fields of a pending approval, names and values, and increases its revision: a decision
-- that was checked against the old fields is checked again.
local function amend(f, fields)
  f.revision = TEXT[(f.revision or 0) + 1]
  push(fields, 'revision', f.revision)
  write('HSET', P .. 'approval:' .. f.id, fields)
end

-- Returns when the wait at `level` (from 0) ends; nil if it never does.
local function lasts_until(g, level)
  if level + 1 < #g.times or g.silence == 'reject' then
    return NOW + g.times[level + 1]
  end
end

-- Begins the wait at a level of the gate.
local function begin_level(f, g, level)
  local expires_at = lasts_until(g, level)
  f.level, f.expires_at = TEXT[level], expires_at and TEXT[expires_at] or ''
  append(come, P .. 'approvals:pending', TEXT[expires_at or NEVER], f.id)
end

-- Plans the first reminder, if the gate wants any.
local function plan_reminder(f, g)
  if g.remind ~= '-' then
    append(come, P .. 'reminders', TEXT[NOW + g.remind], f.id)
  end
end

-- What a later approval of a task keeps of the one before: changes by approvers stay visible.
local CARRIED = { 'edited_by', 'original', 'changes', 'authors', 'asks' }

-- Requests an approval for the task. Returns its terms.
--
-- f     its hash: id, kind (`gate`: the policy requires it, `ask`: the agent requests it), by,
--       digest, gate and, of an ask, reason, action, on_rejection; asks: how often agents requested
--       approvals for the task, if that has changed
-- spec  of the task
local function open(task, f, spec)
  local g = read_gate(f.gate)
  begin_level(f, g, 0)
  plan_reminder(f, g)
  f.task, f.status, f.requested_at, f.votes = task.id, 'pending', now, '[]'
  f.seal, f.type = seal(task, f.digest, spec), task.status.kind
  f.agent = task.status.agent
  f.title = title_in(labels_of(task))
  local old = task.status.approval
  if old ~= '-' and old ~= f.id then
    f.previous = old
    for nth, value in ipairs(read_fields(P .. 'approval:' .. old, CARRIED)) do
      f[CARRIED[nth]] = f[CARRIED[nth]] or value or nil
    end
  end
  local fields = {}
  for name, value in pairs(f) do
    if name ~= 'id' then
      push(fields, name, value)
    end
  end
  write('HSET', P .. 'approval:' .. f.id, fields)
  approvals[f.id] = f
  edit(task).approval = f.id
  return g
end

-- Returns the approval as it will be after finish().
local function load_approval(id)
  local f = approvals[id]
  if not f then
    f = by_name(redis.call('HGETALL', P .. 'approval:' .. id))
    f.id, approvals[id] = id, f
  end
  return f
end

-- Writes the decision on a pending approval; `comment` is a JSON string or nil.
local function close(id, status, comment)
  append(gone, P .. 'approvals:pending', id)
  append(gone, P .. 'reminders', id)
  append(come, P .. 'approvals:' .. status, now, id)
  local decision = { 'status', status, 'decided_by', ACTOR, 'decided_at', now }
  push(decision, 'comment', comment or '')
  write('HSET', P .. 'approval:' .. id, decision)
  if approvals[id] then
    approvals[id].status = status
  end
end

-- Withdraws the approval for which a task waits, because the task ends.
local function withdraw(task)
  if STATES[task.status.state].is_human then
    close(task.status.approval, 'cancelled')
  end
end
