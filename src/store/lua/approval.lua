-- approval: the shared part of the scripts that request or decide an approval.
--
-- A gate says in lines how to decide: quorum; 1 if four eyes are required, else 0; what expiry at
-- the last level leads to, `reject` or `hold`; how often to remind, ms, or `-`; how long each level
-- may take, ms, joined by commas; the approvers and all of this for readers, JSON; the name of the
-- rule, a JSON string.

-- The score of an approval that never expires: after every time.
local NEVER = 9007199254740991

local function read_gate(gate)
  local g, times = {}, nil
  g.quorum, g.four_eyes, g.silence, g.remind, times, g.terms, g.rule =
    string.match(gate, '^(%d+)\n([01])\n(%a+)\n(%S+)\n(%S+)\n([^\n]*)\n([^\n]*)$')
  g.times = {}
  for time in string.gmatch(times or '', '%d+') do
    g.times[#g.times + 1] = tonumber(time)
  end
  return g
end

-- Returns when the wait at `level` (from 0) ends; nil if it never does.
local function lasts_until(g, level)
  if level + 1 < #g.times or g.silence == 'reject' then
    return NOW + g.times[level + 1]
  end
end

-- Returns the part of an event's payload about an approval; `f` is its hash. None of its members is
-- one of a transition, which stand in the same payload.
local function approval_json(task, f, g)
  return '"approval_id":"' .. f.id .. '","kind":"' .. f.kind .. '","rule":' .. g.rule .. ',"requested_by":"' .. f.by
    .. '","request_reason":' .. (f.reason or 'null') .. ',"action":' .. (f.action or 'null') .. ',"digest":"' .. f.digest
    .. '","version":' .. detail(task).version .. ',"terms":' .. g.terms .. ',"level":' .. f.level .. ',"votes":' .. f.votes
    .. ',"expires_at":' .. (f.expires_at ~= '' and '"' .. iso(tonumber(f.expires_at)) .. '"' or 'null')
end

-- Adds an event about an approval. `rest` is more of the payload, JSON from the comma on.
local function say_approval(event, task, f, g, rest)
  emit(event, task, heading(task) .. ',"agent":"' .. task.agent .. '",' .. approval_json(task, f, g)
    .. (rest or '') .. '}')
end

-- Approvals that were read or opened, as they will be after finish().
local approvals = {}

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
  f.task, f.status, f.requested_at, f.expires_at = task.id, 'pending', TEXT[NOW], expires_at and TEXT[expires_at] or ''
  f.level, f.votes, f.seal, f.type = '0', '[]', seal(task, f.digest, spec), task.type
  f.title = task.title
  if task.approval ~= '-' and task.approval ~= f.id then
    f.previous = task.approval
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
  task.approval = f.id
  return g
end

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

-- Returns why an agent may not request an approval for the task now; nil if it may, which `f`
-- counts.
--
-- f       the approval, before it is opened
-- bounds  how many requests in all, how long to wait after the first one, ms, doubled with each,
--         and the longest wait, ms: joined by commas
local function barred_ask(task, f, bounds)
  local most, base, longest = string.match(bounds, '^(%d+),(%d+),(%d+)$')
  local past = task.approval ~= '-' and load_approval(task.approval) or {}
  local asks = tonumber(past.asks or 0)
  if asks >= tonumber(most) then
    return 'ASKS ' .. TEXT[asks]
  end
  local pause = asks > 0 and math.min(tonumber(longest), base * 2 ^ (asks - 1)) or 0
  local wait = pause > 0 and past.requested_at + pause - NOW or 0
  if wait > 0 then
    return 'SOON ' .. TEXT[wait]
  end
  f.asks = TEXT[asks + 1]
end

-- Writes the decision on a pending approval; `comment` is a JSON string or nil.
local function close(id, status, comment)
  append(gone, P .. 'approvals:pending', id)
  append(gone, P .. 'reminders', id)
  append(come, P .. 'approvals:' .. status, TEXT[NOW], id)
  write('HSET', P .. 'approval:' .. id, { 'status', status, 'decided_by', ACTOR, 'decided_at', TEXT[NOW],
    'comment', comment or '' })
  if approvals[id] then
    approvals[id].status = status
  end
end

-- Returns the pending approval and its task, or why there is nothing to decide. `outcome` is the
-- status that the decision leads to.
local function undecided(id, verb, outcome)
  local f = load_approval(id)
  if not f.task then
    return nil, nil, 'UNKNOWN'
  end
  if f.status ~= 'pending' then
    if IS_AGAIN and f.status == outcome and f.decided_by == ACTOR then
      -- The first call decided, and its answer was lost.
      return nil, nil, 'OK ' .. f.task
    end
    return nil, nil, 'DECIDED ' .. f.status .. ' ' .. f.decided_at .. ' ' .. f.decided_by
  end
  local task = load(f.task)
  return f, task, barred(task, verb)
end

-- Returns whether the approval has changed since the caller's right to decide was checked, at this
-- revision.
local function is_stale(f, revision)
  return (f.revision or '0') ~= revision
end

-- Returns the part of a decision's event that the other events of the approval do not have.
local function decision_json(comment)
  return ',"decided_by":"' .. ACTOR .. '","comment":' .. (comment or 'null')
end

-- Rejects the approval, and cancels its task unless the agent asked to continue after a rejection.
local function refuse(f, task, verb, status, comment, why)
  local g = read_gate(f.gate)
  close(f.id, status, comment)
  if f.on_rejection == 'return' then
    task.more = ',' .. approval_json(task, f, g) .. decision_json(comment)
    move(task, verb, 'assigned', task.rank, why, false, 'approval.' .. status)
  else
    task.more = ',"approval_id":"' .. f.id .. '"'
    say_approval('approval.' .. status, task, f, g, decision_json(comment))
    move(task, verb, 'cancelled', NOW, why)
  end
end

-- Escalates a pending approval to its next level; false if there is none.
local function escalate(f, task, why)
  local g = read_gate(f.gate)
  local level = f.level + 1
  if level >= #g.times then
    return false
  end
  local expires_at = lasts_until(g, level)
  f.level, f.expires_at = TEXT[level], expires_at and TEXT[expires_at] or ''
  amend(f, { 'level', f.level, 'expires_at', f.expires_at })
  append(come, P .. 'approvals:pending', TEXT[expires_at or NEVER], f.id)
  task.more = ',' .. approval_json(task, f, g)
  move(task, 'escalate', task.state, nil, why)
  return true
end
