-- move: moves tasks to other states.
-- Needs  rules, events, clocks, thresholds, figures

-- The steps of the call, in order. A step is what a verb makes of the tasks of one status: the
-- tasks of a batch mostly make the same step, so that what they have in common is made once.
local steps

local function begin_move()
  steps = {}
end

-- The score of tasks that were parked: behind all others.
local PARKED = string.rep('9', #NO_TIME)

-- How often the reaper looks at an agent that has tasks or a pause but no session, ms.
local IDLE = 60000

-- The options of move() for tasks that are in their set, and for those that are out of it already.
local COMMON, POPPED = { is_common = true }, { is_common = true, is_popped = true }

local function set_of(state, agent)
  return P .. state .. (STATES[state].is_per_agent and ':' .. agent or '')
end

-- Makes the reaper look at the agent at this time or before, which puts it into the roster.
local function look_at(agent, at)
  local planned = watched[agent]
  if not planned or at < planned then
    watched[agent] = at
  end
end

-- Returns the step of `verb` from a status to the state `to`. `change` changes the new status too.
local function new_step(before, verb, to, options, change)
  local from, status = before.state, derive(before)
  local state, old, is_move = STATES[to], STATES[from or to], from ~= to
  status.state, status.text = to, before.text and to .. sub(before.text, (find(before.text, ' ', 1, true)))
  if change then
    change(status)
    status.text = join_status(status)
  end
  local step = {
    status = status, before = before, from = from, to = to, count = 0, is_move = is_move, left = nil, entered = nil,
    figures = {}, firsts = {}, ends = is_move and state.is_final and {}, opens = is_move and not state.is_final and (not from or old.is_final),
    score = state.order == 'now' and now or state.order ~= 'rank' and status[state.order],
    resets = is_move and not state.is_final and (state.is_human or old.is_human or from and old.is_final),
    -- Its children may have to end too.
    cascades = is_move and state.wake == 'cascade',
    kind = kind_of(status, verb, from, options.reason, options.event, options.actor), answer = nil,
  }
  if from and is_move and not options.is_popped then
    step.left = list_of(gone, set_of(from, status.agent))
  end
  if is_move or options.is_popped then
    local is_computed = step.score and state.order ~= 'due'
    step.entered = list_of(is_computed and come or ranked, set_of(to, status.agent))
  end
  if is_move and state.wake == 'agent' then
    look_at(status.agent, NOW + IDLE)
  end
  steps[#steps + 1] = step
  return step
end

-- Returns whether a threshold of an SLA clock of the task has passed without its event.
local function is_due(task)
  local timer = timer_in(task)
  return timer ~= NO_TIME and timer - NOW <= 0
end

-- Returns the step that a task makes by `verb`. Adds the events of thresholds that have passed while
-- the clocks ran, or while the task was open.
local function step_of(task, verb, options, change)
  local rule, from = RULES[verb], task.status.state
  local to = options.to or rule.only or from
  if from and not rule.from[from] or to ~= from and not rule.to[to] then
    error({ err = 'ERR ' .. verb .. ' does not lead from ' .. tostring(from) .. ' to ' .. tostring(to) })
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
--   is_common  whether every task that has the same status makes the same step with these options
-- change       changes the new status of all tasks that make the step
local function move(task, verb, options, change)
  options = options or COMMON
  local step = options.is_common and task.status.steps[verb]
  local span = step and step.ends and sub(task.times or task.record, SINCE, TIMER_END)
  if not step or span and not step.ends[span] then
    -- A task with another timer may be due.
    step = step_of(task, verb, options, change)
    span = step.ends and sub(task.times or task.record, SINCE, TIMER_END)
  end
  local id, left, entered, times = task.id, step.left, step.entered, task.times or task.record
  step.count = step.count + 1
  if span then
    note_end_of(task, step, span)
    if sub(span, TIMER) ~= NO_TIME then
      unset_timers[#unset_timers + 1] = id
    end
    task.times = now .. NO_TIME .. sub(times, RANK, RANK_END)
    finished[#finished + 1] = id
  elseif step.is_move then
    task.times = now .. sub(times, TIMER, RANK_END)
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
