-- doctor_approvals: finds what is wrong with these approvals, and repairs it at the same moment.
--
-- ARGV[5]   1 to repair what is found, 0 to search only
-- ARGV[6…]  ids
--
-- Returns  a flat list, 3 for each finding, as `doctor_tasks` does
local REMINDERS = P .. 'reminders'

local function lists_of(id)
  local scores = {}
  for status in pairs(APPROVALS) do
    scores[status] = redis.call('ZSCORE', P .. 'approvals:' .. status, id) or nil
  end
  return scores
end

local function forget(id, lists)
  return function()
    write('DEL', P .. 'approval:' .. id, {})
    for status in pairs(lists) do
      append(gone, P .. 'approvals:' .. status, id)
    end
    append(gone, REMINDERS, id)
  end
end

-- The approvers get reminders as the gate says, until there is a decision.
local function check_reminder(id, status, gate)
  local has_reminder = redis.call('ZSCORE', REMINDERS, id)
  local every = status == 'pending' and read_gate(gate).remind or '-'
  if has_reminder and every == '-' then
    find(id, 'is to be reminded of without need', 'taken out of the reminders', take_out(REMINDERS, id))
  elseif not has_reminder and every ~= '-' then
    find(id, 'is missing from the reminders', 'put back', put_in(REMINDERS, id, TEXT[NOW + every]))
  end
end

-- An approval is in the set of its status, pending ones by their expiry.
local function check_lists(id, status, expires_at, decided_at, lists)
  for other in pairs(lists) do
    if other ~= status then
      find(id, 'is ' .. status .. ' but stands in approvals:' .. other .. ' too', 'taken out of it',
        take_out(P .. 'approvals:' .. other, id))
    end
  end
  local list, place = P .. 'approvals:' .. status, decided_at or TEXT[NOW]
  if status == 'pending' then
    place = expires_at ~= '' and expires_at or TEXT[NEVER]
  end
  if not lists[status] then
    find(id, 'is missing from approvals:' .. status, 'put back', put_in(list, id, place))
  elseif tonumber(lists[status]) ~= tonumber(place) then
    find(id, 'stands in approvals:' .. status .. ' at ' .. lists[status] .. ', not at ' .. place, 'put there',
      put_in(list, id, place))
  end
end

local function check(id)
  local lists = lists_of(id)
  local f = redis.call('HMGET', P .. 'approval:' .. id, 'task', 'status', 'expires_at', 'decided_at', 'gate')
  local of, status = f[1], f[2]
  if not of and not status then
    for list in pairs(lists) do
      find(id, 'is in approvals:' .. list .. ' but has no hash', 'taken out of it', take_out(P .. 'approvals:' .. list, id))
    end
    if redis.call('ZSCORE', REMINDERS, id) then
      find(id, 'is in the reminders but has no hash', 'taken out of them', take_out(REMINDERS, id))
    end
    return
  end
  if not of or not APPROVALS[status] then
    find(id, 'is an approval that cannot be read', 'what it says is for a human to find out')
    return
  end
  local task = read_all({ of })[of]
  if task == nil then
    find(id, 'is about the task ' .. of .. ', which is gone', 'removed', forget(id, lists))
    return
  end
  if not f[5] or not read_gate(f[5]).rule then
    find(id, 'is an approval that cannot be read', 'what it says is for a human to find out')
    return
  end
  if status == 'pending' and task and task.approval ~= id then
    find(id, 'asks about the task ' .. of .. ', which does not wait for it', 'closed', function()
      close(id, 'cancelled')
    end)
    return
  end
  check_lists(id, status, f[3], f[4], lists)
  check_reminder(id, status, f[5])
end

for i = 6, #ARGV do
  check(ARGV[i])
end
finish()
return findings
