-- deadlines: adds the events of passed SLA thresholds, and runs the actions of their rules.
-- Needs  finish, decide, index
--
-- ARGV[5]  how many tasks at most; a group is handled as a whole
-- ARGV[6]  head starts of P0 to P3, ms, joined by commas
--
-- Returns  how many tasks it handled, and in how many ms the next one is due (-1: none)
-- Raises the task's priority by some steps if it still waits, but not above `highest`, where it
-- would need another approval.
local function raise(task, steps, highest)
  local old = task.status.priority
  local new = 'P' .. math.max(sub(highest, 2), sub(old, 2) - steps)
  if new == old or not RULES.reprioritize.from[task.status.state] then
    return
  end
  local reason = '"its deadline is near: ' .. old .. ' to ' .. new .. '"'
  raise_to(task, new, ARGV[6], reason, ORCHESTRATOR)
end

-- Runs the actions that are left of the thresholds that have passed.
local function act(task)
  local p, steps, ending, is_escalated = promise(task), 0, nil, false
  if p.actions == '-' then
    return
  end
  local highest
  for _, threshold in ipairs(THRESHOLDS) do
    if is_undone(task, p, threshold) then
      each_action(p, threshold, function(action, argument)
        if action == 'cancel' then
          ending = ending or threshold
        elseif action == 'raise' then
          steps, highest = steps + 1, argument
        elseif action == 'escalate' then
          is_escalated = true
        end
      end)
      local status = edit(task)
      status.sla = status.sla + threshold.bit * DONE
    end
  end
  if ending then
    withdraw(task)
    local missed = ending.clock .. ' by ' .. iso(p[ending.clock])
    move(task, 'abort', { reason = '"it was to ' .. missed .. '"' })
    return
  end
  if steps > 0 then
    raise(task, steps, highest)
  end
  if is_escalated and STATES[task.status.state].is_human then
    escalate(load_approval(task.status.approval), task, '"its deadline is near"')
  end
end

-- The largest number of events of a call, as rules may cause many for each task. The next call
-- handles the other tasks.
local EVENTS_AT_ONCE = 200

local handled, is_cut = 0, false

-- Adds the events of an open task and runs the actions. Returns the timer that it has from now on, or
-- nil if an action ended it.
local function handle(task)
  if event_count >= EVENTS_AT_ONCE then
    is_cut = true
    return timer_in(task)
  end
  handled = handled + 1
  announce(task)
  act(task)
  return not STATES[task.status.state].is_final and timer_of(task) or nil
end

-- The tasks of the entries that are due, and the entry of each.
local due, ids, entries = due_in(P .. 'timers', ARGV[5]), {}, {}
for _, entry in ipairs(due) do
  if #ids >= tonumber(ARGV[5]) then
    is_cut = true
    break
  end
  local found = timed_by(entry)
  for _, id in ipairs(found) do
    ids[#ids + 1], entries[#ids + 1] = id, entry
  end
  if found[1] ~= entry then
    unset_timers[#unset_timers + 1] = entry
  end
end
for nth, task in ipairs(fetch(ids)) do
  local timer = task and not STATES[task.status.state].is_final and handle(task)
  if timer then
    -- From now on a task of a group has a timer of its own. This also corrects a timer whose set and
    -- record differ.
    set_timer(task, timer)
  elseif entries[nth] == ids[nth] then
    unset_timers[#unset_timers + 1] = ids[nth]
  end
end
-- The worker that sweeps learns it from the answer.
woken.deadlines = nil
finish()
return { handled, is_cut and 0 or next_due(P .. 'timers') }
