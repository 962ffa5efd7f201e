-- findings: the shared part of the doctor's scripts: records what is wrong, and repairs it.
--
-- A check calls find(…) and goes on. find() decides whether to repair. The writes of a repair go
-- through the prelude, so that finish() makes them at the moment in which the check found the
-- fault.
--
-- ARGV[5]  1 to repair what is found, 0 to search only
local IS_REPAIR = ARGV[5] == '1'
local findings = {}

-- Records a problem of this kind with `subject`; finding.rs has the words. `repair` repairs it;
-- without `repair` nothing but a human can.
local function find(subject, kind, arguments, repair)
  local is_repaired = IS_REPAIR and repair
  local finding = { subject, kind, is_repaired and 'DONE' or IS_REPAIR and 'IMPOSSIBLE' or '' }
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

-- Adds a member to a sorted set, or changes its score.
local function put_in(set, member, score)
  return function()
    append(come, set, score, member)
  end
end

local function decode(id, record)
  local task = parse(id, record)
  task.accepted, task.submitter = string.match(task.rest, '\n(%d+) %S+ %S+ (%S+)')
  task.last_verb, task.last_state = string.match(task.rest, '.*\n%d+ (%S+) (%S+) [^\n]*$')
  local is_whole = STATES[task.state] and task.n and task.attempt and tonumber(task.rank) and tonumber(task.since)
    and task.accepted and task.last_state and EVENT_PRIORITY[task.priority] and task.approval and detail(task).version
    and select(3, facts(task)) and promise(task).begin
  return is_whole and task or nil
end

-- Returns the tasks of these ids by id; `false` for an unreadable record, which must not hide the
-- others.
local function read_all(ids)
  local tasks = {}
  for nth, record in ipairs(read_fields(P .. 'records', ids)) do
    if record then
      local is_read, task = pcall(decode, ids[nth], record)
      tasks[ids[nth]] = is_read and task or false
    end
  end
  return tasks
end
