-- expire: handles approvals that were not decided in time, which escalate or expire, and sends
-- reminders.
-- Needs  finish, decide
--
-- ARGV[5]  how many at most, of each
--
-- Returns  how many approvals escalated, expired or had a reminder, and in how many ms the next one
--          is due (-1: none)
local count, soonest = 0, -1

-- Calls `act` for the approvals of this set that are due. Removes members that do not belong there.
local function sweep(set, act)
  for _, id in ipairs(due_in(P .. set, ARGV[5])) do
    local f = load_approval(id)
    local task = f.task and f.status == 'pending' and load(f.task)
    if not task then
      append(gone, P .. set, id)
    elseif not barred(task, 'expire') then
      count = count + 1
      act(f, task)
    end
  end
  local next_one = first_after(P .. set, NOW)
  if next_one and (soonest < 0 or next_one - NOW < soonest) then
    soonest = next_one - NOW
  end
end

sweep('approvals:pending', function(f, task)
  local why = '"its approval was not decided in time"'
  if not escalate(f, task, why) then
    refuse(f, task, 'expire', 'expired', nil, why)
  end
end)
sweep('reminders', function(f, task)
  local g = read_gate(f.gate)
  append(come, P .. 'reminders', TEXT[NOW + g.remind], f.id)
  say_approval('approval.reminder', task, f, g)
end)
finish()
return { count, soonest }
