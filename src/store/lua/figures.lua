-- figures: what the SLA report counts when a task starts and when it ends.
-- Needs  clocks
--
-- The figures of a call are counted for each step (move.lua), whose tasks are of one group of the
-- report. What tasks have in common is kept as the text that says it, and looked into once, at the
-- end of the call.

-- The n-th bucket of a histogram begins at 2^(n/4) ms.
local BUCKETS_PER_E = 4 / math.log(2)

-- The state of tasks that met what was promised.
local COMPLETED = RULES.complete.only

local function add_figure(step, figure, number)
  local figures = step.figures
  figures[figure] = (figures[figure] or 0) + (number or 1)
end

-- Adds times to a histogram.
local function measure(step, histogram, ms, number)
  local bucket = ms < 1 and 0 or math.floor(math.log(ms) * BUCKETS_PER_E)
  add_figure(step, histogram .. ' ' .. bucket, number)
end

-- Counts the result of the start clock.
local function count_start(step, sum, is_started, number)
  if is_set(sum, 1) then
    add_figure(step, 'start_warned', number)
  end
  if is_set(sum, 2) then
    add_figure(step, 'start_violated', number)
  elseif is_started then
    add_figure(step, 'start_met', number)
  end
end

-- Notes the start of a first attempt by a step: when the clocks of the task began, the deadline of
-- the start, and whether they stop.
local function note_first(task, step)
  local record, at = task.record, task.content
  local text = sub(record, at + BEGIN, at + START_END)
  if step.before.human ~= '0' then
    text = text .. promise(task).stands_word
  end
  step.firsts[text] = (step.firsts[text] or 0) + 1
end

-- Counts the starts of a step.
local function count_firsts(step)
  local before = step.before
  for text, number in pairs(step.firsts) do
    local waited = NOW - sub(text, 1, #NO_TIME)
    if before.human ~= '0' and sub(text, -1) == '0' then
      waited = waited - before.human
    end
    measure(step, 'wait', waited, number)
    if sub(text, #NO_TIME + 1, 2 * #NO_TIME) ~= NO_TIME then
      count_start(step, before.sla, true, number)
    end
  end
end

-- Notes the end of a task by a step: since when it had its state, and its timer.
local function note_end_of(task, step, text)
  step.ends[text] = (step.ends[text] or 0) + 1
  local sum = step.before.sla
  if sum % OWN == STARTED then
    return
  end
  local p = promise(task)
  if is_set(sum, 4) then
    add_figure(step, 'warned')
  end
  if is_set(sum, 8) then
    add_figure(step, 'violated')
  elseif p.finish and step.to == COMPLETED then
    add_figure(step, 'met')
  end
  if p.start and not is_set(sum, STARTED) then
    count_start(step, sum, false)
  end
end

-- Counts the ends of a step.
local function count_ends(step)
  local before, to = step.before, step.to
  for text, number in pairs(step.ends) do
    add_figure(step, to, number)
    if not RULES.cancel.to[to] and STATES[before.state].order == 'lease' then
      measure(step, 'run', NOW - sub(text, SINCE, SINCE_END), number)
    end
    if before.human ~= '0' then
      measure(step, 'human', tonumber(before.human), number)
    end
    -- No threshold has passed, so a timer means that there is a deadline to finish.
    if before.sla % OWN == STARTED and to == COMPLETED and sub(text, TIMER, TIMER_END) ~= NO_TIME then
      add_figure(step, 'met', number)
    end
  end
end
