-- move: moves tasks to other states.
-- Needs  rules, settle, announce, figures

-- The score of tasks that were parked: behind all others.
local PARKED = string.rep('9', #NO_TIME)

-- The options of move() for tasks that are in their set, and for those that are out of it already.
local COMMON = { is_common = true }
local POPPED = { is_common = true, is_popped = true }

-- The newest timer that is ahead. Most tasks of a batch have the same.
local ahead

local function begin_move()
  ahead = nil
end

-- Returns whether a threshold of an SLA clock of the task has passed without its event.
local function is_due(task)
  local timer = timer_in(task)
  if timer == ahead or timer == NO_TIME then
    return false
  end
  if timer - NOW > 0 then
    ahead = timer
    return false
  end
  return true
end

-- Returns the step that a task makes by `verb`. Adds the events of thresholds that have passed
-- while the clocks ran, or while the task was open.
local function step_of(task, verb, options, change)
  local rule, from = RULES[verb], task.status.state
  local to = options.to or rule.only or from
  if from and not rule.from[from] or to ~= from and not rule.to[to] then
    local path = 'from ' .. tostring(from) .. ' to ' .. tostring(to)
    error({ err = 'ERR ' .. verb .. ' does not lead ' .. path })
  end
  if from and from ~= to then
    local was_human = STATES[from].is_human
    if was_human or STATES[to].is_human or STATES[to].is_final and is_due(task) then
      announce(task)
    end
    if was_human then
      resume(task)
    end
  end
  local before = task.status
  local step = options.is_common and before.steps[verb]
  if not step then
    step = new_step(before, verb, to, options, change)
    before.steps[verb] = options.is_common and step
  end
  return step
end

-- Moves a task by `verb`: set, record, timeline and event, or nothing. Returns the step.
--
-- options      the rest by name, each of which may be left out:
--   to         the new state, if the rule of the verb has several
--   reason     a JSON string
--   event      the type of the event, if it is not that of the verb
--   more       more members of the event's payload, JSON from the comma on
--   actor      the actor, if it is not the caller
--   report     the digest of the report that causes it
--   is_popped  whether the task is out of its set already
--   is_common  whether every task that has the same status makes the same step with these options,
--              so that most tasks only join it, and the step is made for all of them together
-- change       changes the new status of all tasks that make the step
local function move(task, verb, options, change)
  options = options or COMMON
  if task.step then
    settle_task(task)
  end
  local step = options.is_common and task.status.steps[verb]
  local span = step and step.ends and sub(task.times or task.record, SINCE, TIMER_END)
  if not step or span and not step.ends[span] then
    -- A task with another timer may be due.
    step = step_of(task, verb, options, change)
    span = step.ends and sub(task.times or task.record, SINCE, TIMER_END)
    step.has_timers = step.has_timers
      or span and sub(span, TIMER) ~= NO_TIME and is_set(step.before.sla, OWN)
  end
  if span then
    note_end_of(task, step, span)
  end
  if step.joins then
    local tasks = step.tasks
    tasks[#tasks + 1], task.status, task.step = task, step.status, step
    return step
  end
  local id, left, entered = task.id, step.left, step.entered
  step.count = step.count + 1
  if span then
    task.times = now .. NO_TIME .. NO_TIME
    finished[#finished + 1] = id
    if step.has_timers then
      unset_timers[#unset_timers + 1] = id
    end
  elseif step.is_move then
    set_times(task, now)
  end
  task.status = step.status
  if left then
    left[#left + 1] = id
  end
  if entered then
    local size = #entered
    entered[size + 1], entered[size + 2] = step.score or rank(task), id
  end
  if step.cascades then
    append(come, P .. 'cascade', now, id)
  end
  note(task, step.kind, options.more, options.report)
  if step.resets then
    set_timer(task)
  end
  return step
end
