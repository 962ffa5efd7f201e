-- doctor_tasks: finds what is wrong with these tasks, and repairs it at the same moment.
-- Needs  findings, approval, ranks
--
-- ARGV[5]   1 to repair what is found, 0 to search only
-- ARGV[6]   gate of an approval that a repair requests again, or ''; see gate.lua
-- ARGV[7]   the key in which the ids were found
-- ARGV[8…]  3 for each task: id, an id for an approval if one is needed, the digest of its content
--
-- Returns  a list for each finding: id, its kind (see finding.rs), `DONE` or `IMPOSSIBLE` for a
--          repair, else '', and the arguments of the kind
local GATE, SOURCE = ARGV[6], ARGV[7]
-- No lease is longer than a day. A score of twice as long is broken.
local LONGEST_LEASE_MS = 2 * 86400000

-- Returns the sets of states in which the task is, each with its score there. Of the sets per agent
-- it checks that of the task's agent and the one in which the task was found. The walk over all
-- keys comes to all others.
local function places_of(id, agent)
  local places, seen = {}, {}
  local function look(set)
    local score = not seen[set] and redis.call('ZSCORE', set, id)
    seen[set] = true
    if score then
      places[#places + 1] = { set, score }
    end
  end
  for state, rule in pairs(STATES) do
    if not rule.is_per_agent then
      look(P .. state)
    elseif agent then
      look(set_of(state, agent))
    end
    if rule.is_per_agent and string.find(SOURCE, P .. state .. ':', 1, true) == 1 then
      look(SOURCE)
    end
  end
  return places
end

-- The remains of a task without a record.
local function check_remains(id)
  for _, place in ipairs(places_of(id)) do
    note_finding(id, 'record_missing', { place[1] }, take_out(place[1], id))
  end
  for hash, what in pairs({ specs = 'a spec', results = 'a result', progress = 'progress' }) do
    if redis.call('HEXISTS', P .. hash, id) == 1 then
      note_finding(id, 'remains', { what }, function()
        write('HDEL', P .. hash, { id })
      end)
    end
  end
  if redis.call('ZSCORE', P .. 'tasks', id) then
    note_finding(id, 'record_missing', { 'the index of tasks' }, take_out(P .. 'tasks', id))
  end
  if redis.call('ZSCORE', P .. 'timers', id) then
    note_finding(id, 'remains', { 'a timer' }, take_out(P .. 'timers', id))
  end
end

-- An unreadable record breaks every batch that it is in.
local function check_unreadable(id)
  for _, place in ipairs(places_of(id)) do
    note_finding(id, 'record_unreadable_in', { place[1] }, take_out(place[1], id))
  end
  if redis.call('ZSCORE', P .. 'timers', id) then
    note_finding(id, 'record_unreadable_in', { P .. 'timers' }, take_out(P .. 'timers', id))
  end
  note_finding(id, 'record_unreadable', {})
end

-- An agent cannot work on a task whose payload is lost.
local function check_spec(task, facts)
  if redis.call('HEXISTS', P .. 'specs', task.id) == 1 then
    return
  end
  if not STATES[task.status.state].is_final then
    note_finding(task.id, 'spec_missing', {}, function()
      move(task, 'repair', { to = 'failed', reason = '"its payload is lost"' })
    end)
  elseif facts.last_verb ~= 'repair' then
    note_finding(task.id, 'spec_missing', {})
  end
end

-- Blocks the task until a decision, under a new approval unless its own is still pending. `spare`
-- has the id and the digest of a new one.
local function hold_back(task, facts, spare)
  return function()
    if task.status.state ~= 'blocked' then
      move(task, 'repair', { to = 'blocked', reason = '"no approval of it is known"', event = 'task.blocked' })
    end
    if spare then
      local f = { id = spare.id, kind = 'gate', by = facts.submitter, digest = spare.digest, gate = GATE }
      say_approval('approval.requested', task, f, open(task, f, redis.call('HGET', P .. 'specs', task.id) or ''))
      changed[#changed + 1] = task
    end
  end
end

-- No repair skips an approval: in doubt it requests a new one.
local function check_gate(task, facts, spare)
  local id, state, approval = task.id, task.status.state, task.status.approval
  local is_final = STATES[state].is_final
  if approval == '-' then
    if state == 'blocked' then
      note_finding(id, 'approval_missing', {}, hold_back(task, facts, spare))
    end
    return
  end
  local f = redis.call('HMGET', P .. 'approval:' .. approval, 'status', 'task', 'digest', 'seal', 'on_rejection')
  local status = f[1]
  if not status or f[2] ~= id then
    note_finding(id, 'approval_foreign', { approval }, not is_final and hold_back(task, facts, spare))
  elseif is_final then
    if status == 'pending' then
      note_finding(id, 'approval_open', { state }, function()
        close(approval, 'cancelled')
      end)
    elseif not stands(status, f[5]) and state ~= 'cancelled' and facts.last_verb ~= 'repair' then
      note_finding(id, 'ended_unapproved', { state, status })
    end
  elseif status == 'pending' then
    if state ~= 'blocked' then
      note_finding(id, 'not_blocked', { state }, hold_back(task, facts))
    end
  elseif stands(status, f[5]) then
    if state == 'blocked' then
      note_finding(id, 'not_asked', { status }, hold_back(task, facts, spare))
    end
  else
    note_finding(id, 'not_cancelled', { state, status }, function()
      move(task, 'cancel', { reason = '"its approval was ' .. status .. '"' })
      note_end(task, status == 'rejected' and HUMAN or 0)
    end)
    return
  end
  local spec = redis.call('HGET', P .. 'specs', id)
  if spec and f[2] == id and not is_final and f[4] ~= seal(task, f[3] or '', spec) then
    note_finding(id, 'content_unapproved', { approval })
  end
end

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
    append(ranked, home, place_in_set(task) or (rule.order == 'lease' and now or since(task)), task.id)
    if rule.is_per_agent then
      look_at(status.agent, NOW)
    end
    if rule.wake and not rule.is_final then
      wake(rule.wake == 'agent' and 'agent:' .. status.agent or rule.wake)
    end
  end
end

local function check_place(task, home, score)
  local id, place = task.id, place_in_set(task)
  if not score then
    note_finding(id, 'place_missing', { task.status.state, home }, put_home(task, home))
  elseif place and tonumber(score) ~= tonumber(place) then
    note_finding(id, 'place_wrong', { home, score, place }, put_home(task, home))
  elseif STATES[task.status.state].order == 'lease' and (tonumber(score) or math.huge) > NOW + LONGEST_LEASE_MS then
    note_finding(id, 'lease_endless', { score }, put_home(task, home))
  end
end

-- Returns a time as findings show it.
local function time_or_none(time)
  return time == NO_TIME and '-' or time
end

-- A deadline without a timer would pass unnoticed.
local function check_timer(task)
  local id, score = task.id, redis.call('ZSCORE', P .. 'timers', task.id) or NO_TIME
  if STATES[task.status.state].is_final then
    if score ~= NO_TIME then
      note_finding(id, 'timer_stray', { task.status.state }, take_out(P .. 'timers', id))
    end
    return
  end
  local timer, noted = timer_of(task), timer_in(task)
  if noted ~= timer or score ~= timer then
    note_finding(id, 'timer_wrong', { time_or_none(score), time_or_none(noted), time_or_none(timer) }, function()
      set_times(task, nil, timer)
      task.packed, changed[#changed + 1] = nil, task
      write_timer(id, timer)
    end)
  end
end

-- The other indexes, which are ordered by the acceptance of the task.
local function check_indexes(task, facts)
  local id, accepted = task.id, tonumber(facts.accepted)
  local score = redis.call('ZSCORE', P .. 'tasks', id)
  if not score then
    note_finding(id, 'index_missing', {}, put_in(P .. 'tasks', id, facts.accepted .. '000'))
  elseif math.floor(tonumber(score) / 1000) ~= accepted then
    note_finding(id, 'index_misplaced', { score }, put_in(P .. 'tasks', id, facts.accepted .. '000'))
  end
  local parent = cut_content(task.record, task.content).parent
  if parent ~= '-' then
    local siblings = P .. 'children:' .. parent
    local at = redis.call('ZSCORE', siblings, id)
    if not at then
      note_finding(id, 'child_missing', { parent }, put_in(siblings, id, facts.accepted))
    elseif tonumber(at) ~= accepted then
      note_finding(id, 'child_misplaced', { parent, at }, put_in(siblings, id, facts.accepted))
    end
  end
end

local function check(facts, spare)
  local task, status = facts.task, facts.task.status
  local was, home = status.state, set_of(status.state, status.agent)
  local places = places_of(task.id, status.agent)
  -- The payload comes first: a task that fails because its payload is lost needs no approval.
  check_spec(task, facts)
  check_gate(task, facts, spare)
  local at_home
  for _, place in ipairs(places) do
    if place[1] == home then
      at_home = place[2]
    else
      note_finding(task.id, 'place_second', { was, place[1] }, take_out(place[1], task.id))
    end
  end
  -- A move of this call puts the task into its set, and ends its timeline with the move.
  if task.status.state == was then
    check_place(task, home, at_home)
    check_timer(task)
    if facts.last_state ~= was then
      note_finding(task.id, 'timeline_differs', { was, facts.last_state })
    end
  end
  check_indexes(task, facts)
end

local found = read_all(ids_of(8, 3))
for i = 8, #ARGV, 3 do
  local facts = found[ARGV[i]]
  if facts then
    check(facts, { id = ARGV[i + 1], digest = ARGV[i + 2] })
  elseif facts == false then
    check_unreadable(ARGV[i])
  else
    check_remains(ARGV[i])
  end
end
finish()
return findings
