-- doctor_approvals: finds what is wrong with these approvals, and repairs it at the same moment.
-- Needs  findings, approval
--
-- ARGV[5]   1 to repair what is found, 0 to search only
-- ARGV[6…]  ids
--
-- Returns  a list for each finding, as `doctor_tasks` does
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
    note_finding(id, 'reminder_stray', {}, take_out(REMINDERS, id))
  elseif not has_reminder and every ~= '-' then
    note_finding(id, 'reminder_missing', {}, put_in(REMINDERS, id, TEXT[NOW + every]))
  end
end

-- An approval is in the set of its status, pending ones by their expiry.
local function check_lists(id, status, expires_at, decided_at, lists)
  for other in pairs(lists) do
    if other ~= status then
      local list = 'approvals:' .. other
      note_finding(id, 'place_second', { status, list }, take_out(P .. list, id))
    end
  end
  local list, place = 'approvals:' .. status, decided_at or now
  if status == 'pending' then
    place = expires_at ~= '' and expires_at or TEXT[NEVER]
  end
  if not lists[status] then
    note_finding(id, 'place_missing', { status, list }, put_in(P .. list, id, place))
  elseif tonumber(lists[status]) ~= tonumber(place) then
    note_finding(id, 'place_wrong', { list, lists[status], place }, put_in(P .. list, id, place))
  end
end

local function check(id)
  local lists = lists_of(id)
  local f = redis.call('HMGET', P .. 'approval:' .. id, 'task', 'status', 'gate', 'expires_at',
    'decided_at')
  local of, status, gate = f[1], f[2], f[3]
  if not of and not status then
    for listed in pairs(lists) do
      local list = 'approvals:' .. listed
      note_finding(id, 'hash_missing', { list }, take_out(P .. list, id))
    end
    find_stray(id, 'hash_missing', { 'the reminders' }, REMINDERS)
    return
  end
  if not of or not APPROVALS[status] then
    note_finding(id, 'approval_unreadable', {})
    return
  end
  local found = read_all({ of })[of]
  if found == nil then
    note_finding(id, 'task_gone', { of }, forget(id, lists))
    return
  end
  if not gate or not read_gate(gate).rule then
    note_finding(id, 'approval_unreadable', {})
    return
  end
  if status == 'pending' and found and found.task.status.approval ~= id then
    note_finding(id, 'approval_unasked', { of }, function()
      close(id, 'cancelled')
    end)
    return
  end
  check_lists(id, status, f[4], f[5], lists)
  check_reminder(id, status, gate)
end

for i = 6, #ARGV do
  check(ARGV[i])
end
finish()
return findings
