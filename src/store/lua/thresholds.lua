-- thresholds: the events of SLA thresholds, and the clocks of tasks that wait for humans.
-- Needs  clocks, events, time, timers

-- How long after its threshold an event counts as late, ms.
local LATE = 1000

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
  local p, soonest = promise(task), nil
  for _, threshold in ipairs(THRESHOLDS) do
    local at = is_undone(task, p, threshold) and passes_at(p, threshold)
      or announced_at(task, p, threshold)
    if at and (not soonest or at < soonest) then
      soonest = at
    end
  end
  return soonest and TEXT[soonest] or NO_TIME
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
  if not is_set(task.status.sla, OWN) then
    reach(task, OWN)
  end
  write_timer(task.id, timer)
end

-- Returns the payload of a threshold's event, and the deadline as text.
local function threshold_json(task, p, threshold, at, is_late)
  local status, deadline = task.status, p[threshold.clock]
  local approval = STATES[status.state].is_human and '"' .. status.approval .. '"' or 'null'
  local text = iso(deadline)
  return ',"clock":"' .. threshold.clock .. '","deadline":"' .. text
    .. '","target_ms":' .. TEXT[math.max(0, deadline - p.begin)]
    .. ',"threshold":' .. (threshold.verb == 'warn' and TEXT[p.percent] or '100')
    .. ',"due_at":"' .. (at == deadline and text or iso(at)) .. '","late":' .. tostring(is_late)
    .. ',"approval_id":' .. approval, text
end

-- Adds the event of a threshold, and the notifications of its rules.
local function announce_one(task, p, threshold, at)
  local is_late = NOW - at > LATE
  local more, deadline = threshold_json(task, p, threshold, at, is_late)
  local what = 'it was to ' .. threshold.clock .. ' by ' .. deadline
  if threshold.verb == 'warn' then
    what = TEXT[p.percent] .. ' % of the time to ' .. threshold.clock .. ' has passed'
  end
  local function add(verb, reason, rest)
    local status = task.status
    local kind = kind_of(status, verb, status.state, '"' .. reason .. '"', nil, ORCHESTRATOR)
    note(task, kind, rest)
  end
  reach(task, threshold.bit)
  add(threshold.verb, what .. (is_late and ', announced late' or ''), more)
  each_action(p, threshold, function(action, argument)
    if action == 'notify' then
      add('notify', argument .. ': ' .. what, more .. ',"to":"' .. argument .. '"')
    end
  end)
end

-- Returns whether a threshold with its time comes before another.
local function by_time(one, other)
  return one[1] < other[1] or one[1] == other[1] and one[2].bit < other[2].bit
end

-- Adds the events of all thresholds that have passed, in the order of their times.
local function announce(task)
  local p, passed = promise(task), {}
  for _, threshold in ipairs(THRESHOLDS) do
    local at = announced_at(task, p, threshold)
    if at and at <= NOW then
      passed[#passed + 1] = { at, threshold }
    end
  end
  table.sort(passed, by_time)
  for _, pair in ipairs(passed) do
    announce_one(task, p, pair[2], pair[1])
  end
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
