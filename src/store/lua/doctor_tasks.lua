-- doctor_tasks: finds what is wrong with these tasks, and repairs it at the same moment.
--
-- ARGV[5]   1 to repair what is found, 0 to search only
-- ARGV[6]   gate of an approval that a repair requests again, or ''; see approval.lua
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
  for state in pairs(STATES) do
    if not PER_AGENT[state] then
      look(P .. state)
    elseif agent then
      look(set_of(state, agent))
    end
    if PER_AGENT[state] and string.find(SOURCE, P .. state .. ':', 1, true) == 1 then
      look(SOURCE)
    end
  end
  return places
end

-- The remains of a task without a record.
local function check_remains(id)
  for _, place in ipairs(places_of(id)) do
    find(id, 'record_missing', { place[1] }, take_out(place[1], id))
  end
  for hash, what in pairs({ specs = 'a spec', results = 'a result', progress = 'progress' }) do
    if redis.call('HEXISTS', P .. hash, id) == 1 then
      find(id, 'remains', { what }, function()
        write('HDEL', P .. hash, { id })
      end)
    end
  end
  if redis.call('ZSCORE', P .. 'tasks', id) then
    find(id, 'record_missing', { 'the index of tasks' }, take_out(P .. 'tasks', id))
  end
  if redis.call('ZSCORE', P .. 'timers', id) then
    find(id, 'remains', { 'a timer' }, take_out(P .. 'timers', id))
  end
end

-- An unreadable record breaks every batch that it is in.
local function check_unreadable(id)
  for _, place in ipairs(places_of(id)) do
    find(id, 'record_unreadable_in', { place[1] }, take_out(place[1], id))
  end
  if redis.call('ZSCORE', P .. 'timers', id) then
    find(id, 'record_unreadable_in', { P .. 'timers' }, take_out(P .. 'timers', id))
  end
  find(id, 'record_unreadable', {})
end

-- An agent cannot work on a task whose payload is lost.
local function check_spec(task)
  if redis.call('HEXISTS', P .. 'specs', task.id) == 1 then
    return
  end
  if not TERMINAL[task.state] then
    find(task.id, 'spec_missing', {}, function()
      move(task, 'repair', 'failed', NOW, '"its payload is lost"')
    end)
  elseif task.last_verb ~= 'repair' then
    find(task.id, 'spec_missing', {})
  end
end

-- Blocks the task until a decision, under a new approval unless its own is still pending. `spare`
-- has the id and the digest of a new one.
local function hold_back(task, spare)
  return function()
    if task.state ~= 'blocked' then
      move(task, 'repair', 'blocked', NOW, '"no approval of it is known"', false, 'task.blocked')
    end
    if spare then
      local f = { id = spare.id, kind = 'gate', by = task.submitter, digest = spare.digest, gate = GATE }
      say_approval('approval.requested', task, f, open(task, f, redis.call('HGET', P .. 'specs', task.id) or ''))
      changed[task.id] = task
    end
  end
end

-- No repair skips an approval: in doubt it requests a new one.
local function check_gate(task, spare)
  local id, state, approval = task.id, task.state, task.approval
  if approval == '-' then
    if state == 'blocked' then
      find(id, 'approval_missing', {}, hold_back(task, spare))
    end
    return
  end
  local f = redis.call('HMGET', P .. 'approval:' .. approval, 'status', 'task', 'digest', 'seal', 'on_rejection')
  local status = f[1]
  if not status or f[2] ~= id then
    find(id, 'approval_foreign', { approval }, not TERMINAL[state] and hold_back(task, spare))
  elseif TERMINAL[state] then
    if status == 'pending' then
      find(id, 'approval_open', { state }, function()
        close(approval, 'cancelled')
      end)
    elseif not stands(status, f[5]) and state ~= 'cancelled' and task.last_verb ~= 'repair' then
      find(id, 'ended_unapproved', { state, status })
    end
  elseif status == 'pending' then
    if state ~= 'blocked' then
      find(id, 'not_blocked', { state }, hold_back(task))
    end
  elseif stands(status, f[5]) then
    if state == 'blocked' then
      find(id, 'not_asked', { status }, hold_back(task, spare))
    end
  else
    find(id, 'not_cancelled', { state, status }, function()
      move(task, 'cancel', 'cancelled', NOW, '"its approval was ' .. status .. '"')
      note_end(task, status == 'rejected' and HUMAN or 0)
    end)
    return
  end
  local spec = redis.call('HGET', P .. 'specs', id)
  if spec and f[2] == id and not TERMINAL[state] and f[4] ~= seal(task, f[3] or '', spec) then
    find(id, 'content_unapproved', { approval })
  end
end

-- Returns the score of the task in its set; nil if any will do.
local function place_in_set(task)
  local state = task.state
  if state == 'pending' or state == 'assigned' then
    return task.rank
  elseif state == 'scheduled' then
    local due = detail(task).due
    return tonumber(due) and due or TEXT[NOW]
  elseif TERMINAL[state] then
    return task.since
  end
end

-- Puts the task into the set of its state, and wakes the callers that wait for it. A lease without
-- a known end is over.
local function put_home(task, home)
  return function()
    append(come, home, place_in_set(task) or (task.state == 'in_progress' and TEXT[NOW] or task.since), task.id)
    if PER_AGENT[task.state] then
      look_at(task.agent, NOW)
    end
    if task.state == 'assigned' then
      wake('agent:' .. task.agent)
    elseif task.state == 'pending' then
      wake('router')
    elseif task.state == 'scheduled' then
      wake('promoter')
    end
  end
end

local function check_place(task, home, score)
  local id, place = task.id, place_in_set(task)
  if not score then
    find(id, 'place_missing', { task.state, home }, put_home(task, home))
  elseif place and score ~= place then
    find(id, 'place_wrong', { home, score, place }, put_home(task, home))
  elseif task.state == 'in_progress' and (tonumber(score) or math.huge) > NOW + LONGEST_LEASE_MS then
    find(id, 'lease_endless', { score }, put_home(task, home))
  end
end

-- A deadline without a timer would pass unnoticed.
local function check_timer(task)
  local id, score = task.id, redis.call('ZSCORE', P .. 'timers', task.id) or '-'
  if TERMINAL[task.state] then
    if score ~= '-' then
      find(id, 'timer_stray', { task.state }, take_out(P .. 'timers', id))
    end
    return
  end
  local timer, noted = timer_of(task), detail(task).timer
  if noted ~= timer or score ~= timer then
    find(id, 'timer_wrong', { score, noted, timer }, function()
      detail(task).timer, changed[id] = timer, task
      write_timer(id, timer)
    end)
  end
end

-- The other indexes, which are ordered by the acceptance of the task.
local function check_indexes(task)
  local id, accepted = task.id, tonumber(task.accepted)
  local score = redis.call('ZSCORE', P .. 'tasks', id)
  if not score then
    find(id, 'index_missing', {}, put_in(P .. 'tasks', id, task.accepted .. '000'))
  elseif math.floor(tonumber(score) / 1000) ~= accepted then
    find(id, 'index_misplaced', { score }, put_in(P .. 'tasks', id, task.accepted .. '000'))
  end
  local _, _, parent = facts(task)
  if parent ~= '-' then
    local siblings = P .. 'children:' .. parent
    local at = redis.call('ZSCORE', siblings, id)
    if not at then
      find(id, 'child_missing', { parent }, put_in(siblings, id, task.accepted))
    elseif tonumber(at) ~= accepted then
      find(id, 'child_misplaced', { parent, at }, put_in(siblings, id, task.accepted))
    end
  end
end

local function check(task, spare)
  local was, home = task.state, set_of(task.state, task.agent)
  local places = places_of(task.id, task.agent)
  -- The payload comes first: a task that fails because its payload is lost needs no approval.
  check_spec(task)
  check_gate(task, spare)
  local at_home
  for _, place in ipairs(places) do
    if place[1] == home then
      at_home = place[2]
    else
      find(task.id, 'place_second', { was, place[1] }, take_out(place[1], task.id))
    end
  end
  -- A move of this call puts the task into its set, and ends its timeline with the move.
  if task.state == was then
    check_place(task, home, at_home)
    check_timer(task)
    if task.last_state ~= was then
      find(task.id, 'timeline_differs', { was, task.last_state })
    end
  end
  check_indexes(task)
end

local tasks = read_all(ids_of(8, 3))
for i = 8, #ARGV, 3 do
  local task = tasks[ARGV[i]]
  if task then
    check(task, { id = ARGV[i + 1], digest = ARGV[i + 2] })
  elseif task == false then
    check_unreadable(ARGV[i])
  else
    check_remains(ARGV[i])
  end
end
finish()
return findings
