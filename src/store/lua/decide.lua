-- decide: what may happen to a pending approval, and what follows from it.
-- Needs  approval, ranks

-- Returns why an agent may not request an approval for the task now; nil if it may, which `f`
-- counts.
--
-- f       the approval, before it is opened
-- bounds  how many requests in all, how long to wait after the first one, ms, doubled with each,
--         and the longest wait, ms: joined by commas
local function barred_ask(task, f, bounds)
  local most, base, longest = string.match(bounds, '^(%d+),(%d+),(%d+)$')
  local approval = task.status.approval
  local past = approval ~= '-' and load_approval(approval) or {}
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
    local more = approval_json(task, f, g) .. decision_json(comment)
    move(task, verb, { to = 'assigned', reason = why, event = 'approval.' .. status, more = more })
  else
    say_approval('approval.' .. status, task, f, g, decision_json(comment))
    move(task, verb, { to = 'cancelled', reason = why, more = ',"approval_id":"' .. f.id .. '"' })
  end
end

-- Escalates a pending approval to its next level; false if there is none.
local function escalate(f, task, why)
  local g = read_gate(f.gate)
  local level = f.level + 1
  if level >= #g.times then
    return false
  end
  begin_level(f, g, level)
  amend(f, { 'level', f.level, 'expires_at', f.expires_at })
  move(task, 'escalate', { reason = why, more = approval_json(task, f, g) })
  return true
end
