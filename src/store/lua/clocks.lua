-- clocks: the two SLA clocks of a task: one for its start, one for its end.
--
-- Both clocks run from the moment in which the task may start. Each deadline has two thresholds:
-- the warning, after a share of the time, and the violation, at its end. Each threshold has one
-- event, which is added by the worker that sweeps `timers` or by a script that moves the task, if
-- that comes first. The first start ends the start clock, and the end of the task ends both.

-- The word `sla` of a record is a sum of these bits. The same bits times DONE are the thresholds
-- whose actions the worker has run.
local THRESHOLDS = {
  { bit = 1, clock = 'start', verb = 'warn' },
  { bit = 2, clock = 'start', verb = 'violate' },
  { bit = 4, clock = 'finish', verb = 'warn' },
  { bit = 8, clock = 'finish', verb = 'violate' },
}
local STARTED, DONE = 16, 32

-- How long after its threshold an event counts as late, ms.
local LATE = 1000

-- Timers that are due within this time wake the worker: as long as it rests without one, ms.
local SOON = 1000

-- The n-th bucket of a histogram begins at 2^(n/4) ms.
local BUCKETS_PER_E = 4 / math.log(2)

-- A local is cheaper: looking up a global a dozen times for each task costs more than its call.
local band = bit.band

local function is_set(sum, bit_of_it)
  return band(sum, bit_of_it) ~= 0
end

-- Returns the SLA of the task: the third line.
local function promise(task)
  local p = task.promise
  if not p then
    local line = string.find(task.rest, '\n', 1, true)
    local actions, begin, start, finish, percent, stands =
      string.match(task.rest, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)', line + 1)
    p = { begin = tonumber(begin), start = tonumber(start), finish = tonumber(finish), percent = tonumber(percent),
      stands = stands == '1', actions = actions }
    task.promise = p
  end
  return p
end

-- Starts the clocks at another time.
local function rerun(task, begin, start, finish)
  local p, rest = promise(task), task.rest
  p.begin, p.start, p.finish = begin, start, finish
  local first = string.find(rest, '\n', 1, true)
  local _, last = string.find(rest, '^%S+ %S+ %S+ %S+', first + 1)
  task.rest = string.sub(rest, 1, first) .. p.actions .. ' ' .. TEXT[begin] .. ' ' .. (start and TEXT[start] or '-') .. ' '
    .. (finish and TEXT[finish] or '-') .. string.sub(rest, last + 1)
end

-- Returns the word `sla`.
local function reached(task)
  return detail(task).sla
end

local function reach(task, bit_of_it)
  local d = detail(task)
  d.sla = d.sla + bit_of_it
end

-- Returns when the warning of a deadline passes.
local function warns_at(begin, deadline, percent)
  return math.min(deadline, begin + math.floor((deadline - begin) / 100 * percent))
end

-- Returns when a threshold passes, or nil.
local function passes_at(p, threshold)
  local deadline = p[threshold.clock]
  if not deadline or threshold.verb == 'violate' then
    return deadline
  end
  return warns_at(p.begin, deadline, p.percent)
end

-- Returns when the event of the threshold is due, or nil. For stopped clocks only thresholds that
-- passed before count.
local function announced_at(task, p, threshold)
  local at = passes_at(p, threshold)
  if not at then
    return nil
  end
  local sum = reached(task)
  if is_set(sum, threshold.bit) or threshold.clock == 'start' and is_set(sum, STARTED) then
    return nil
  end
  if p.stands and task.state == 'blocked' and at > tonumber(task.since) then
    return nil
  end
  return at
end

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
  local is_left = false
  if p.actions ~= '-' and is_set(reached(task), threshold.bit) and not is_set(reached(task), threshold.bit * DONE) then
    each_action(p, threshold, function(action)
      is_left = is_left or action ~= 'notify'
    end)
  end
  return is_left
end

-- Returns when the worker must look at the task next, ms as text, or '-'.
local function timer_of(task)
  local p, soonest = promise(task), nil
  for nth = 1, #THRESHOLDS do
    local threshold = THRESHOLDS[nth]
    local at = p[threshold.clock]
    if at then
      at = is_undone(task, p, threshold) and passes_at(p, threshold) or announced_at(task, p, threshold)
      if at and (not soonest or at < soonest) then
        soonest = at
      end
    end
  end
  return soonest and TEXT[soonest] or '-'
end

-- Returns the timer of a task whose clocks start and are not stopped: the same as timer_of(), at a
-- lower cost.
local function first_timer(begin, start, finish, percent)
  start, finish = start and warns_at(begin, start, percent), finish and warns_at(begin, finish, percent)
  local soonest = start and finish and math.min(start, finish) or start or finish
  return soonest and TEXT[soonest] or '-'
end

-- Adds the write of the timer, without a look at the set.
local function write_timer(id, timer)
  timed[id] = timer
  if timer ~= '-' and tonumber(timer) - NOW < SOON then
    wake('deadlines')
  end
end

-- Sets the timer to the value that follows from the record.
local function set_timer(task)
  local timer, d = timer_of(task), detail(task)
  if timer ~= d.timer then
    d.timer, changed[task.id] = timer, task
    write_timer(task.id, timer)
  end
end

-- Returns the payload of a threshold's event, and the deadline as text.
local function threshold_json(task, p, threshold, at, is_late)
  local approval = task.state == 'blocked' and task.approval
  local deadline = p[threshold.clock]
  local text = iso(deadline)
  return ',"clock":"' .. threshold.clock .. '","deadline":"' .. text .. '","target_ms":'
    .. TEXT[math.max(0, deadline - p.begin)] .. ',"threshold":' .. (threshold.verb == 'warn' and TEXT[p.percent] or '100')
    .. ',"due_at":"' .. (at == deadline and text or iso(at)) .. (is_late and '","late":true' or '","late":false')
    .. (approval and ',"approval_id":"' .. approval .. '"' or ',"approval_id":null'), text
end

-- Returns whether a threshold with its time comes before another.
local function by_time(one, other)
  return one[1] < other[1] or one[1] == other[1] and one[2].bit < other[2].bit
end

-- Adds the events of all thresholds that have passed, in the order of their times, and the
-- notifications of the rules.
local function announce(task)
  local p, passed = promise(task), {}
  for nth = 1, #THRESHOLDS do
    local threshold = THRESHOLDS[nth]
    local at = announced_at(task, p, threshold)
    if at and at <= NOW then
      passed[#passed + 1] = { at, threshold }
    end
  end
  if #passed > 1 then
    table.sort(passed, by_time)
  end
  for _, pair in ipairs(passed) do
    local at, threshold = pair[1], pair[2]
    local is_late = NOW - at > LATE
    local more, deadline = threshold_json(task, p, threshold, at, is_late)
    local what = threshold.verb == 'warn' and TEXT[p.percent] .. ' % of the time to ' .. threshold.clock .. ' has passed'
      or 'it was to ' .. threshold.clock .. ' by ' .. deadline
    local reason = '"' .. what .. (is_late and ', announced late' or '') .. '"'
    reach(task, threshold.bit)
    note(task, threshold.verb, task.state, reason, nil, more, 'orchestrator')
    if p.actions ~= '-' then
      each_action(p, threshold, function(action, argument)
        if action == 'notify' then
          note(task, 'notify', task.state, '"' .. argument .. ': ' .. what .. '"', nil, more .. ',"to":"' .. argument .. '"',
            'orchestrator')
        end
      end)
    end
  end
end

-- Ends the wait for a human: counts it, and restarts the clocks that stopped.
local function resume(task)
  local p, d = promise(task), detail(task)
  local waited = NOW - math.max(tonumber(task.since), p.begin)
  if waited > 0 then
    d.human = TEXT[d.human + waited]
    if p.stands then
      rerun(task, p.begin + waited, p.start and p.start + waited, p.finish and p.finish + waited)
    end
  end
end

-- Restarts the clocks now with the same durations.
local function promise_again(task)
  local p, d = promise(task), detail(task)
  rerun(task, NOW, p.start and NOW + p.start - p.begin, p.finish and NOW + p.finish - p.begin)
  d.timer, d.human, d.sla = '-', '0', 0
end

-- Adds one to the count in `map` under two names, of which the first may be new.
local function add_one(map, first, second)
  local inner = map[first]
  if not inner then
    inner = {}
    map[first] = inner
  end
  inner[second] = (inner[second] or 0) + 1
end

-- Returns the group of the task in the report.
local function group_of(task)
  return task.agent .. ' ' .. task.type .. ' ' .. task.priority
end

-- Adds a time to a histogram.
local function measure(histogram, group, ms)
  local groups = measured[histogram]
  if not groups then
    groups = {}
    measured[histogram] = groups
  end
  add_one(groups, group, ms < 1 and 0 or math.floor(math.log(ms) * BUCKETS_PER_E))
end

-- Counts the result of the start clock.
local function count_start(group, sum, is_started)
  if is_set(sum, 1) then
    add_one(counted, 'start_warned', group)
  end
  if is_set(sum, 2) then
    add_one(counted, 'start_violated', group)
  elseif is_started then
    add_one(counted, 'start_met', group)
  end
end

-- Ends the start clock, because the first attempt begins.
local function started(task)
  local line = string.find(task.rest, '\n', 1, true)
  local begin, start, stands = string.match(task.rest, '^%S+ (%S+) (%S+) %S+ %S+ (%S+)', line + 1)
  local group = group_of(task)
  measure('wait', group, NOW - begin - (stands == '1' and 0 or detail(task).human))
  if start ~= '-' then
    count_start(group, reached(task), true)
  end
  reach(task, STARTED)
  if start ~= '-' then
    set_timer(task)
  end
end

-- Ends both clocks, because the task ends in the state `to`: adds the events of passed thresholds,
-- and counts everything in the report.
local function ended(task, to)
  local timer, human, sum = string.match(task.detail, '^(%S+) (%S+) (%S+)')
  if task.details then
    timer, human, sum = task.details.timer, task.details.human, task.details.sla
  end
  if timer ~= '-' then
    if tonumber(timer) <= NOW then
      announce(task)
      sum = detail(task).sla
    end
    timed[task.id] = '-'
  end
  sum = tonumber(sum)
  local group = group_of(task)
  add_one(counted, to, group)
  if to ~= 'cancelled' and task.state == 'in_progress' then
    measure('run', group, NOW - task.since)
  end
  if human ~= '0' then
    measure('human', group, tonumber(human))
  end
  if sum == STARTED then
    -- No threshold has passed, so a timer means that there is a deadline to finish.
    if timer ~= '-' and to == 'completed' then
      add_one(counted, 'met', group)
    end
    return
  end
  local p = promise(task)
  if is_set(sum, 4) then
    add_one(counted, 'warned', group)
  end
  if is_set(sum, 8) then
    add_one(counted, 'violated', group)
  elseif p.finish and to == 'completed' then
    add_one(counted, 'met', group)
  end
  if p.start and not is_set(sum, STARTED) then
    count_start(group, sum, false)
  end
end
