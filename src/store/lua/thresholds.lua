-- thresholds: the timers of tasks, and the clocks of those that wait for humans.
-- Needs  clocks, timers

-- Calls `act(action, argument)` for each action of a threshold. An SLA without rules has `-` and no
-- action.
local function each_action(p, threshold, act)
  for bit_of_it, action, argument in string.gmatch(p.actions, '(%d+)(%l+):?([^,]*)') do
    if tonumber(bit_of_it) == threshold.bit then
      act(action, argument)
    end
  end
end

-- Returns whether an action of a passed threshold is left to run, other than a notification.
local function is_undone(task, p, threshold)
  local is_left, sum = false, task.status.sla
  if p.actions ~= '-' and is_set(sum, threshold.bit) and not is_set(sum, threshold.bit * DONE) then
    each_action(p, threshold, function(action)
      is_left = is_left or action ~= 'notify'
    end)
  end
  return is_left
end

-- Returns when the worker must look at the task next, ms as text, or NO_TIME.
local function timer_of(task)
  local p, sum, soonest = promise(task), task.status.sla, nil
  local is_shared = not stops(task, p)
  if is_shared and p.timers[sum] then
    return p.timers[sum]
  end
  for _, threshold in ipairs(THRESHOLDS) do
    local at = is_undone(task, p, threshold) and passes_at(p, threshold)
      or announced_at(task, p, threshold)
    if at and (not soonest or at < soonest) then
      soonest = at
    end
  end
  local timer = soonest and TEXT[soonest] or NO_TIME
  p.timers[sum] = is_shared and timer or nil
  return timer
end

-- Gives the task a timer of its own, or none, in its record and in `timers`. `given` is written in
-- any case; without it, the timer follows from the record and is written if it is another one.
local function set_timer(task, given)
  local timer = given or timer_of(task)
  if not given and timer == timer_in(task) then
    return
  end
  set_times(task, nil, timer)
  changed[#changed + 1] = task
  if timer == NO_TIME then
    unset_timers[#unset_timers + 1] = task.id
    return
  end
  local status = task.status
  if not is_set(status.sla, OWN) then
    if not status.owning then
      local owning = derive(status)
      owning.sla, owning.text, status.owning = status.sla + OWN, false, owning
    end
    task.status = status.owning
  end
  write_timer(task.id, timer)
end

-- Ends the wait for a human: counts it, and restarts the clocks that stopped.
local function resume(task)
  local p = promise(task)
  local waited = NOW - math.max(tonumber(since(task)), p.begin)
  if waited > 0 then
    local status = edit(task)
    status.human = TEXT[status.human + waited]
    if p.stands then
      restart(task, p, p.begin + waited)
    end
  end
end
