-- doctor_places: checks the sets in which a task is.
-- Needs  findings, ranks, index

-- No lease is longer than a day. A score of twice as long is broken.
local LONGEST_LEASE_MS = 2 * 86400000

-- Returns the score of the task in its set; nil if any will do.
local function place_in_set(task)
  local status = task.status
  local rule = STATES[status.state]
  if rule.order == 'rank' then
    return rank(task)
  elseif rule.order == 'due' then
    return tonumber(status.due) and status.due or now
  elseif rule.is_final then
    return since(task)
  end
end

-- Puts the task into the set of its state, and wakes the callers that wait for it. A lease without
-- a known end is over.
local function put_home(task, home)
  return function()
    local status = task.status
    local rule = STATES[status.state]
    local place = place_in_set(task) or rule.order == 'lease' and now or since(task)
    append(ranked, home, place, task.id)
    if rule.is_per_agent then
      look_at(status.agent, NOW)
    end
    if rule.wake and not rule.is_final then
      wake(rule.wake == 'agent' and 'agent:' .. status.agent or rule.wake)
    end
  end
end

-- `score` is that of the task in its set, or nil.
local function check_place(task, home, score)
  local id, state, place = task.id, task.status.state, place_in_set(task)
  local put = put_home(task, home)
  if not score then
    note_finding(id, 'place_missing', { state, home }, put)
  elseif place and tonumber(score) ~= tonumber(place) then
    note_finding(id, 'place_wrong', { home, score, place }, put)
  elseif STATES[state].order == 'lease'
    and (tonumber(score) or math.huge) > NOW + LONGEST_LEASE_MS then
    note_finding(id, 'lease_endless', { score }, put)
  end
end

-- Returns a time as findings show it.
local function shown(time)
  return time == NO_TIME and '-' or time
end

-- Returns when the worker looks at the task: at its own timer or at that of its group, which may be
-- sooner.
local function watched_at(id, accepted, timer)
  local own = redis.call('ZSCORE', P .. 'timers', id)
  if own or timer == NO_TIME then
    return own or NO_TIME
  end
  local _, group = group_of(id, accepted)
  local soonest = group and redis.call('ZSCORE', P .. 'timers', group)
  return soonest and TEXT[math.max(soonest, timer)] or NO_TIME
end

-- A deadline without a timer would pass unnoticed.
local function check_timer(task, accepted)
  local id, state = task.id, task.status.state
  if STATES[state].is_final then
    find_stray(id, 'timer_stray', { state }, P .. 'timers')
    return
  end
  local timer, noted = timer_of(task), timer_in(task)
  local score = watched_at(id, accepted, timer)
  if noted ~= timer or score ~= timer then
    note_finding(id, 'timer_wrong', { shown(score), shown(noted), shown(timer) }, function()
      set_timer(task, timer)
    end)
  end
end

-- The other indexes, which are ordered by the acceptance of the task.
local function check_indexes(task, facts)
  local id, accepted = task.id, tonumber(facts.accepted)
  if not group_of(id, facts.accepted) then
    note_finding(id, 'index_missing', {}, put_in(P .. 'tasks', id, facts.accepted .. '000'))
  end
  local parent = cut_content(task.record, task.content).parent
  if parent == '-' then
    return
  end
  local siblings = P .. 'children:' .. parent
  local score, put = redis.call('ZSCORE', siblings, id), put_in(siblings, id, facts.accepted)
  if not score then
    note_finding(id, 'child_missing', { parent }, put)
  elseif tonumber(score) ~= accepted then
    note_finding(id, 'child_misplaced', { parent, score }, put)
  end
end
