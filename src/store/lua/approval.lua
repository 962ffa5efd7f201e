-- approval: what the scripts that ask for a decision, or close one, share.

-- Opens a request for a decision on the task.
local function ask(task, approval, rule, requested_by, expires_at)
  redis.call('HSET', P .. 'approval:' .. approval, 'task', task.id, 'status', 'pending', 'rule', rule,
    'by', requested_by, 'requested_at', NOW, 'expires_at', expires_at)
  append(come, P .. 'approvals:pending', expires_at, approval)
  say('approval.requested', task, '{"approval_id":"' .. approval .. '","type":"' .. task.type .. '","rule":' .. rule
    .. ',"requested_by":"' .. requested_by .. '","expires_at":"' .. iso(expires_at) .. '"}')
end

-- Writes the decision on an open request; `comment` is a JSON string or nil.
local function close(approval, status, comment)
  append(gone, P .. 'approvals:pending', approval)
  append(come, P .. 'approvals:' .. status, NOW, approval)
  redis.call('HSET', P .. 'approval:' .. approval, 'status', status, 'decided_by', ACTOR, 'decided_at', NOW,
    'comment', comment or '')
end

-- The open request's task, or why there is nothing to decide. `outcome`: the status that the decision leads to.
local function undecided(approval, verb, outcome)
  local f = redis.call('HMGET', P .. 'approval:' .. approval, 'task', 'status', 'by', 'decided_by', 'decided_at')
  if not f[1] then
    return nil, 'UNKNOWN'
  end
  if f[2] ~= 'pending' then
    if IS_AGAIN and f[2] == outcome and f[4] == ACTOR then
      -- The first of these calls decided, and its answer was lost.
      return nil, 'OK ' .. f[1]
    end
    return nil, 'DECIDED ' .. f[2] .. ' ' .. f[5] .. ' ' .. f[4]
  end
  if f[3] == ACTOR then
    return nil, 'OWN'
  end
  local task = load(f[1])
  return task, barred(task, verb)
end

-- What the event of a decision tells.
local function decision_json(approval, task, comment)
  return '{"approval_id":"' .. approval .. '","type":"' .. task.type .. '","decided_by":"' .. ACTOR
    .. '","comment":' .. (comment or 'null') .. '}'
end

-- Ends the task because nobody said yes.
local function refuse(approval, task, verb, status, comment, why)
  task.more = ',"approval_id":"' .. approval .. '"'
  close(approval, status, comment)
  say('approval.' .. status, task, decision_json(approval, task, comment))
  move(task, verb, 'cancelled', NOW, why)
end
