-- doctor_tasks: finds what is wrong with these tasks, and repairs it at the same moment.
-- Needs  doctor_places, doctor_gate
--
-- ARGV[5]   1 to repair what is found, 0 to search only
-- ARGV[6]   gate of an approval that a repair requests again, or ''; see gate.lua
-- ARGV[7]   the key in which the ids were found
-- ARGV[8…]  3 for each task: id, an id for an approval if one is needed, the digest of its
--           content
--
-- Returns  a list for each finding: id, its kind (see finding.rs), `DONE` or `IMPOSSIBLE` for a
--          repair, else '', and the arguments of the kind
local SOURCE = ARGV[7]

-- Returns the sets of states in which the task is, with its score in each. Of the sets per agent it
-- checks that of the task's agent and the one in which the task was found. The walk over all keys
-- comes to all others.
local function places_of(id, agent)
  local sets, places = {}, {}
  for state, rule in pairs(STATES) do
    if agent or not rule.is_per_agent then
      sets[set_of(state, agent)] = true
    end
    if rule.is_per_agent and string.find(SOURCE, P .. state .. ':', 1, true) == 1 then
      sets[SOURCE] = true
    end
  end
  for set in pairs(sets) do
    places[set] = redis.call('ZSCORE', set, id) or nil
  end
  return places
end

-- The remains of a task without a record.
local function check_remains(id)
  for set in pairs(places_of(id)) do
    note_finding(id, 'record_missing', { set }, take_out(set, id))
  end
  for hash, what in pairs({ specs = 'a spec', results = 'a result', progress = 'progress' }) do
    if redis.call('HEXISTS', P .. hash, id) == 1 then
      note_finding(id, 'remains', { what }, function()
        write('HDEL', P .. hash, { id })
      end)
    end
  end
  -- An entry for a group is none for a task.
  if #timed_by(id) == 0 or timed_by(id)[1] == id then
    find_stray(id, 'remains', { 'a timer' }, P .. 'timers')
  end
end

-- An unreadable record breaks every batch that it is in.
local function check_unreadable(id)
  for set in pairs(places_of(id)) do
    note_finding(id, 'record_unreadable_in', { set }, take_out(set, id))
  end
  find_stray(id, 'record_unreadable_in', { P .. 'timers' }, P .. 'timers')
  note_finding(id, 'record_unreadable', {})
end

local function check(facts, spare)
  local task, status = facts.task, facts.task.status
  local was, home = status.state, set_of(status.state, status.agent)
  local places = places_of(task.id, status.agent)
  -- The payload comes first: a task that fails because its payload is lost needs no approval.
  check_spec(task, facts)
  check_gate(task, facts, spare)
  for set in pairs(places) do
    if set ~= home then
      note_finding(task.id, 'place_second', { was, set }, take_out(set, task.id))
    end
  end
  -- A move of this call puts the task into its set, and ends its timeline with the move.
  if task.status.state == was then
    check_place(task, home, places[home])
    check_timer(task, facts.accepted)
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
    check(facts, { id = ARGV[i + 1], digest = ARGV[i + 2], gate = ARGV[6] })
  elseif facts == false then
    check_unreadable(ARGV[i])
  else
    check_remains(ARGV[i])
  end
end
finish()
return findings
