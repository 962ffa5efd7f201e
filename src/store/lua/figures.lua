-- figures: what the SLA report counts when a task starts and when it ends.
--
-- Needs  clocks
--
-- The figures of a call are counted for each step (move.lua), whose tasks are of one group of the
-- report.

-- The n-th bucket of a histogram begins at 2^(n/4) ms.
local BUCKETS_PER_E = 4 / math.log(2)

local function count(step, figure)
  local figures = step.figures
  figures[figure] = (figures[figure] or 0) + 1
end

-- Adds a time to a histogram. Most tasks of a step have the same.
local function measure(step, histogram, ms)
  if step.measured ~= ms or step.histogram ~= histogram then
    step.measured, step.histogram = ms, histogram
    step.bucket = histogram .. ' ' .. (ms < 1 and 0 or math.floor(math.log(ms) * BUCKETS_PER_E))
  end
  count(step, step.bucket)
end

-- Counts the result of the start clock.
local function count_start(step, sum, is_started)
  if is_set(sum, 1) then
    count(step, 'start_warned')
  end
  if is_set(sum, 2) then
    count(step, 'start_violated')
  elseif is_started then
    count(step, 'start_met')
  end
end

-- Counts the start of the first attempt, by a step from the status `before`.
local function count_first(task, step, before)
  local record, at = task.record, task.content
  local waited = NOW - sub(record, at + BEGIN, at + BEGIN_END)
  if before.human ~= '0' and not promise(task).stands then
    waited = waited - before.human
  end
  measure(step, 'wait', waited)
  if sub(record, at + START, at + START_END) ~= NO_TIME then
    count_start(step, before.sla, true)
  end
end

-- Ends the clocks of a task by a step from the status `before`, and counts the end.
local function end_clocks(task, step, before)
  local to, sum, times = step.to, before.sla, task.times or task.record
  local timer = sub(times, TIMER, TIMER_END)
  count(step, to)
  if to ~= 'cancelled' and before.state == 'in_progress' then
    measure(step, 'run', NOW - sub(times, SINCE, SINCE_END))
  end
  if before.human ~= '0' then
    measure(step, 'human', tonumber(before.human))
  end
  if timer ~= NO_TIME then
    unset_timers[#unset_timers + 1] = task.id
  end
  task.times = now .. NO_TIME .. sub(times, RANK, RANK_END)
  if sum == STARTED then
    -- No threshold has passed, so a timer means that there is a deadline to finish.
    if timer ~= NO_TIME and to == 'completed' then
      count(step, 'met')
    end
    return
  end
  local p = promise(task)
  if is_set(sum, 4) then
    count(step, 'warned')
  end
  if is_set(sum, 8) then
    count(step, 'violated')
  elseif p.finish and to == 'completed' then
    count(step, 'met')
  end
  if p.start and not is_set(sum, STARTED) then
    count_start(step, sum, false)
  end
end
