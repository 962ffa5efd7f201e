-- deadlines: adds the events of passed SLA thresholds, and runs the actions of their rules.
--
-- ARGV[5]  how many tasks at most
-- ARGV[6]  head starts of P0 to P3, ms, joined by commas
--
-- Returns  how many tasks it handled, and in how many ms the next one is due (-1: none)
local due = redis.call('ZRANGEBYSCORE', P .. 'timers', '-inf', NOW, 'LIMIT', 0, ARGV[5])
if #due > 0 then
  fetch(due)
end

-- Raises the task's priority by some steps if it still waits, but not above `highest`, where it
-- would need another approval.
local function raise(task, steps, highest)
  local priority = math.max(string.sub(highest, 2), string.sub(task.priority, 2) - steps)
  local old, new = task.priority, 'P' .. priority
  if new == old or not RULES.reprioritize.from[task.state] then
    return
  end
  local starts = head_starts(ARGV[6])
  opened[old], opened[new] = (opened[old] or 0) - 1, (opened[new] or 0) + 1
  if task.rank ~= PARKED then
    task.rank = TEXT[task.rank + starts[old] - starts[new]]
  end
  task.rest = string.gsub(task.rest, '^(%S+ %S+) %S+', '%1 ' .. new)
  task.priority = new
  if task.state == 'pending' or task.state == 'assigned' then
    append(come, set_of(task.state, task.agent), task.rank, task.id)
  end
  note(task, 'reprioritize', task.state, '"its deadline is near: ' .. old .. ' to ' .. new .. '"', nil,
    ',"priority":"' .. new .. '","previous_priority":"' .. old .. '"', 'orchestrator')
end

-- Runs the actions that are left of the thresholds that have passed.
local function act(task)
  if promise(task).actions == '-' then
    return
  end
  local p, steps, ending, is_escalated = promise(task), 0, nil, false
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
      reach(task, threshold.bit * DONE)
    end
  end
  if ending then
    if task.state == 'blocked' then
      close(task.approval, 'cancelled')
    end
    move(task, 'abort', 'cancelled', NOW, '"it was to ' .. ending.clock .. ' by ' .. iso(p[ending.clock]) .. '"')
    return
  end
  if steps > 0 then
    raise(task, steps, highest)
  end
  if is_escalated and task.state == 'blocked' then
    escalate(load_approval(task.approval), task, '"its deadline is near"')
    task.more = nil
  end
end

-- The largest number of events of a call, as rules may cause many for each task. The next call
-- handles the other tasks.
local EVENTS_AT_ONCE = 200

local taken = 0
for _, id in ipairs(due) do
  if #emitted >= EVENTS_AT_ONCE then
    break
  end
  taken = taken + 1
  local task = known[id]
  local timer = '-'
  if task and not TERMINAL[task.state] then
    announce(task)
    act(task)
  end
  if task and not TERMINAL[task.state] then
    set_timer(task)
    timer = detail(task).timer
  end
  -- This also corrects a timer whose set and record differ.
  write_timer(id, timer)
end
-- The worker that sweeps learns it from the answer.
woken.deadlines = nil
finish()
return { taken, taken < #due and 0 or next_due(P .. 'timers') }
