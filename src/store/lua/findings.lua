-- findings: the shared part of the doctor's scripts: records what is wrong, and repairs it.
-- Needs  finish, move
--
-- A check calls note_finding() and goes on. That decides whether to repair. The writes of a repair
-- go through move() and write(), so that finish() makes them at the moment in which the check found
-- the fault.
--
-- ARGV[5]  1 to repair what is found, 0 to search only

-- Records a problem of this kind with `subject`; finding.rs has the words. `repair` repairs it;
-- without `repair` nothing but a human can.
local function note_finding(subject, kind, arguments, repair)
  local is_repair = ARGV[5] == '1'
  local is_repaired = is_repair and repair
  local finding = { subject, kind, is_repaired and 'DONE' or is_repair and 'IMPOSSIBLE' or '' }
  for _, argument in ipairs(arguments) do
    finding[#finding + 1] = tostring(argument)
  end
  findings[#findings + 1] = finding
  if is_repaired then
    repair()
  end
end

-- Removes a member from a sorted set.
local function take_out(set, member)
  return function()
    append(gone, set, member)
  end
end

-- Finds a member in a sorted set to which it does not belong.
local function find_stray(member, kind, arguments, set)
  if redis.call('ZSCORE', set, member) then
    note_finding(member, kind, arguments, take_out(set, member))
  end
end

-- Adds a member to a sorted set, or changes its score.
local function put_in(set, member, score)
  return function()
    append(come, set, score, member)
  end
end

-- Returns the task of a record with what its timeline says, or nil if the record is unreadable.
local function read_facts(id, record)
  local task = parse(id, record)
  local status, p = task.status, promise(task)
  local facts = { task = task }
  facts.accepted, facts.submitter = submission_of(task)
  for _, verb, state in transitions(task) do
    facts.last_verb, facts.last_state = VERB_OF[verb], STATE_OF[state]
  end
  local are_times = tonumber(rank(task)) and tonumber(since(task)) and tonumber(timer_in(task))
  local is_whole = are_times and STATES[status.state] and EVENT_PRIORITY[status.priority]
    and tonumber(status.attempt) and status.sla and p.begin and p.parent
  return is_whole and facts.accepted and facts.last_state and facts or nil
end

-- Returns the tasks of these ids by id, as read_facts() does; `false` for an unreadable record,
-- which must not hide the others.
local function read_all(ids)
  local tasks = {}
  for nth, record in ipairs(read_fields(P .. 'records', ids)) do
    if record then
      local is_read, facts = pcall(read_facts, ids[nth], record)
      tasks[ids[nth]] = is_read and facts or false
    end
  end
  return tasks
end
