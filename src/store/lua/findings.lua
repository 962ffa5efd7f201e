-- findings: what the doctor's scripts share: noting what is wrong, and mending it.
--
-- A check says find(…) and goes on; whether anything is mended is decided here. What a mend writes goes through the
-- prelude, so that it is made once, by finish(), in the moment in which it was found necessary.
--
-- ARGV[5]  1 to mend what is found, 0 to look only
local IS_REPAIR = ARGV[5] == '1'
local findings = {}

-- Notes that something is wrong with `subject`. `mend` does what `how` tells, in the past; without it `how` tells why
-- it is left as it is.
local function find(subject, what, how, mend)
  local size = #findings
  findings[size + 1], findings[size + 2], findings[size + 3] = subject, what, ''
  if IS_REPAIR then
    findings[size + 3] = (mend and 'MENDED ' or 'LEFT ') .. how
    if mend then
      mend()
    end
  end
end

-- Takes a member out of a sorted set.
local function take_out(set, member)
  return function()
    append(gone, set, member)
  end
end

-- Puts a member into a sorted set, or at another place of it.
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

-- The tasks of these ids by id; `false` stands for a record that cannot be read, which must not hide the others.
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
