-- deadlines: announces what the clocks of tasks have passed, and does what the rules ask for then.
--
-- ARGV[5]  how many at the most
-- ARGV[6]  head starts of P0 to P3, ms, joined by commas
--
-- Returns  how many tasks it took on, and in how many ms the next one is due (-1: none)
local due = redis.call('ZRANGEBYSCORE', P .. 'timers', '-inf', NOW, 'LIMIT', 0, ARGV[5])
if #due > 0 then
  fetch(due)
end

-- Raises the task's priority by some steps, where that still means something, but not past `highest`, beyond which it
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

-- Does what is left to do for the thresholds that were announced.
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
    move(task, 'expire', 'cancelled', NOW, '"it was to ' .. ending.clock .. ' by ' .. iso(p[ending.clock]) .. '"')
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

-- After how many events the other tasks wait for the next call: rules may want many for each.
local EVENTS_AT_ONCE = 400

local taken = 0
for _, id in ipairs(due) do
  if #said >= EVENTS_AT_ONCE then
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
  -- Also where the set and the record did not agree.
  write_timer(id, timer)
end
-- Who sweeps is told by the answer.
rung.deadlines = nil
finish()
return { taken, taken < #due and 0 or next_due(P .. 'timers') }
