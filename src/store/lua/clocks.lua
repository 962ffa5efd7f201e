-- clocks: the two SLA clocks of a task, one for its start and one for its end, and its timer.
-- Needs  record
--
-- Both clocks run from the moment in which the task may start. Each deadline has two thresholds:
-- the warning, after a share of the time, and the violation, at its end. Each threshold has one
-- event, which is added by the worker that sweeps `timers` or by a script that moves the task, if
-- that comes first. The first start ends the start clock, and the end of the task ends both.

-- The word `sla` of a status is a sum of these bits. The same bits times DONE are the thresholds
-- whose actions the worker has run. OWN is set once the task has had an entry of its own in
-- `timers`, so that the end of a task of a batch removes none.
local THRESHOLDS = {
  { bit = 1, clock = 'start', verb = 'warn' },
  { bit = 2, clock = 'start', verb = 'violate' },
  { bit = 4, clock = 'finish', verb = 'warn' },
  { bit = 8, clock = 'finish', verb = 'violate' },
}
local STARTED, DONE, OWN = 16, 32, 512

-- A local is cheaper: looking up a global a dozen times for each task costs more than its call.
local common_bits = bit.band

local function is_set(sum, bit_of_it)
  return common_bits(sum, bit_of_it) ~= 0
end

-- The SLAs of the call by their text, which the tasks of a batch share.
local promises

local function begin_clocks()
  promises = {}
end

-- Returns the SLA of the task. A deadline is nil if there is none.
--
-- plans   what passed thresholds do to tasks, by their status; see thresholds.lua
-- timers  the timers of tasks whose clocks run, by the word `sla` of their status
local function promise(task)
  local record, at = task.record, task.content
  local text = sub(record, at + BEGIN, (find(record, '\n', at, true) or 0) - 1)
  local p = promises[text]
  if p then
    return p
  end
  p = cut_content(record, at)
  p.begin, p.percent = tonumber(p.begin), tonumber(p.percent)
  p.stands_word, p.stands = p.stands, p.stands == '1'
  p.start = p.start ~= NO_TIME and tonumber(p.start) or nil
  p.finish = p.finish ~= NO_TIME and tonumber(p.finish) or nil
  p.plans, p.timers, promises[text] = {}, {}, p
  return p
end

-- Starts the clocks at another time, with the same durations.
local function restart(task, p, begin)
  local record, at, later = task.record, task.content, begin - p.begin
  local start = p.start and TEXT[p.start + later] or NO_TIME
  local finish = p.finish and TEXT[p.finish + later] or NO_TIME
  task.record = sub(record, 1, at + BEGIN - 1) .. TEXT[begin] .. start .. finish
    .. sub(record, at + FINISH_END + 1)
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

-- Returns whether the clocks of the task are stopped, because it waits for a human.
local function stops(task, p)
  return p.stands and STATES[task.status.state].is_human
end

-- Returns when the event of the threshold is due, or nil. For stopped clocks only thresholds that
-- passed before count.
local function announced_at(task, p, threshold)
  local at, sum = passes_at(p, threshold), task.status.sla
  local is_over = threshold.clock == 'start' and is_set(sum, STARTED)
  if not at or is_over or is_set(sum, threshold.bit) then
    return nil
  end
  local is_stopped = stops(task, p)
  return not (is_stopped and at > tonumber(since(task))) and at or nil
end

-- Returns the timer of a task whose clocks start and are not stopped.
local function first_timer(begin, start, finish, percent)
  start = start and warns_at(begin, start, percent)
  finish = finish and warns_at(begin, finish, percent)
  local soonest = start and finish and math.min(start, finish) or start or finish
  return soonest and TEXT[soonest] or NO_TIME
end
