-- steps: what a verb makes of the tasks of one status.
-- Needs  events

-- The steps of the call, in order. The tasks of a batch mostly make the same step, so that what
-- they have in common is made once.
local steps

local function begin_steps()
  steps = {}
end

-- How often the reaper looks at an agent that has tasks or a pause but no session, ms.
local IDLE = 60000

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

-- Returns the status after a step to the state `to`.
local function status_after(before, to, change)
  local status, text = derive(before), before.text
  status.state = to
  status.text = text and STATES[to].letter .. sub(text, (find(text, ' ', 1, true)))
  if change then
    change(status)
    status.text = join_status(status)
  end
  return status
end

-- Makes the step of `verb` from a status to the state `to`; see move() for the rest.
local function new_step(before, verb, to, options, change)
  local from, status = before.state, status_after(before, to, change)
  local state, old = STATES[to], STATES[from or to]
  local is_move, is_final, is_popped = from ~= to, state.is_final, options.is_popped
  local step = {
    status = status, before = before, from = from, to = to, is_move = is_move, count = 0,
    left = nil, entered = nil, answer = nil, figures = {}, firsts = {}, tasks = {},
    score = state.order == 'now' and now or state.order ~= 'rank' and status[state.order],
    opens = is_move and not is_final and (not from or old.is_final),
    ends = is_move and is_final and {},
    resets = is_move and not is_final
      and (state.is_human or old.is_human or from and old.is_final),
    -- Its children may have to end too.
    cascades = is_move and state.wake == 'cascade',
    kind = kind_of(status, verb, from, options.reason, options.event, options.actor),
  }
  if from and is_move and not is_popped then
    step.left = list_of(gone, set_of(from, status.agent))
  end
  if is_move or is_popped then
    local is_computed = step.score and state.order ~= 'due'
    step.entered = list_of(is_computed and come or ranked, set_of(to, status.agent))
  end
  if is_move and state.wake == 'agent' then
    look_at(status.agent, NOW + IDLE)
  end
  step.joins = options.is_common and is_move and not step.resets and not step.cascades
  steps[#steps + 1] = step
  return step
end
