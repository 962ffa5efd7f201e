-- doctor_gate: checks the payload of a task and its approval.
-- Needs  findings, approval

-- An agent cannot work on a task whose payload is lost.
local function check_spec(task, facts)
  if redis.call('HEXISTS', P .. 'specs', task.id) == 1 then
    return
  end
  if not STATES[task.status.state].is_final then
    note_finding(task.id, 'spec_missing', {}, function()
      move(task, 'repair', { to = 'failed', reason = '"its payload is lost"' })
    end)
  elseif facts.last_verb ~= 'repair' then
    note_finding(task.id, 'spec_missing', {})
  end
end

-- Blocks the task until a decision, under a new approval unless its own is still pending. `spare`
-- has the id, the digest and the gate of a new one.
local function hold_back(task, facts, spare)
  return function()
    if not STATES[task.status.state].is_human then
      local why = '"no approval of it is known"'
      move(task, 'repair', { to = 'blocked', reason = why, event = 'task.blocked' })
    end
    if spare then
      local f = { id = spare.id, kind = 'gate', by = facts.submitter }
      f.digest, f.gate = spare.digest, spare.gate
      local spec = redis.call('HGET', P .. 'specs', task.id) or ''
      say_approval('approval.requested', task, f, open(task, f, spec))
      changed[#changed + 1] = task
    end
  end
end

-- No repair skips an approval: in doubt it requests a new one.
local function check_gate(task, facts, spare)
  local id, state, approval = task.id, task.status.state, task.status.approval
  local is_final, is_blocked = STATES[state].is_final, STATES[state].is_human
  local hold = hold_back(task, facts, spare)
  if approval == '-' then
    if is_blocked then
      note_finding(id, 'approval_missing', {}, hold)
    end
    return
  end
  local key = P .. 'approval:' .. approval
  local f = redis.call('HMGET', key, 'status', 'task', 'digest', 'seal', 'on_rejection')
  local status = f[1]
  local may_continue = stands(status, f[5])
  if not status or f[2] ~= id then
    note_finding(id, 'approval_foreign', { approval }, not is_final and hold)
  elseif is_final then
    if status == 'pending' then
      note_finding(id, 'approval_open', { state }, function()
        close(approval, 'cancelled')
      end)
    elseif not (may_continue or RULES.cancel.to[state] or facts.last_verb == 'repair') then
      note_finding(id, 'ended_unapproved', { state, status })
    end
  elseif status == 'pending' then
    if not is_blocked then
      note_finding(id, 'not_blocked', { state }, hold_back(task, facts))
    end
  elseif may_continue then
    if is_blocked then
      note_finding(id, 'not_asked', { status }, hold)
    end
  else
    note_finding(id, 'not_cancelled', { state, status }, function()
      move(task, 'cancel', { reason = '"its approval was ' .. status .. '"' })
      note_end(task, status == 'rejected' and HUMAN or 0)
    end)
    return
  end
  local spec = redis.call('HGET', P .. 'specs', id)
  if spec and f[2] == id and not is_final and f[4] ~= seal(task, f[3] or '', spec) then
    note_finding(id, 'content_unapproved', { approval })
  end
end
