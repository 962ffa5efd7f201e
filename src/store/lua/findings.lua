-- findings: the shared part of the doctor's scripts: records what is wrong, and repairs it.
--
-- A check calls find(…) and goes on. find() decides whether to repair. The writes of a repair go
-- through the prelude, so that finish() makes them at the moment in which the check found the
-- fault.
--
-- ARGV[5]  1 to repair what is found, 0 to search only
local IS_REPAIR = ARGV[5] == '1'
local findings = {}

-- Records that something is wrong with `subject`. `repair` repairs it and `how` says what it did, in
-- the past tense. Without `repair` it is not repaired, and `how` says why.
local function find(subject, what, how, repair)
  local size = #findings
  findings[size + 1], findings[size + 2], findings[size + 3] = subject, what, ''
  if IS_REPAIR then
    findings[size + 3] = (repair and 'REPAIRED ' or 'LEFT ') .. how
    if repair then
      repair()
    end
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
