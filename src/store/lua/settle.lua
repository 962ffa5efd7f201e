-- settle: makes the steps that many tasks of a call make alike.
-- Needs  steps

-- The records that the call writes: id and record in turn.
local records

local function begin_settle()
  records = {}
end

-- Moves the tasks that have joined a step: sets, records, timelines and events.
local function settle(step)
  local tasks, ids, size = step.tasks, {}, #records
  if #tasks == 0 then
    return
  end
  local left, entered, score, ends = step.left, step.entered, step.score, step.ends
  local text, line, places = text_of(step.status), step.kind.line, #entered
  local facts, rest = step.kind.has_labels and {} or ids, NO_TIME .. NO_TIME
  for nth = 1, #tasks do
    local task = tasks[nth]
    local id, record, added = task.id, task.record, line
    local times = task.times or record
    if task.report then
      added = line .. ' =' .. task.report
    end
    if task.added then
      added = task.added .. added
    end
    if facts ~= ids then
      facts[nth] = id .. ' ' .. labels_of(task)
    end
    if #record > LONG then
      task.added = added
      shorten(task)
      record = task.record
    end
    if not ends then
      rest = sub(times, TIMER, RANK_END)
    end
    record = now .. rest .. text .. sub(record, task.content) .. added
    ids[nth], task.record = id, record
    records[size + 1], records[size + 2] = id, record
    entered[places + 1], entered[places + 2] = score or sub(times, RANK, RANK_END), id
    size, places = size + 2, places + 2
    if left then
      left[#left + 1] = id
    end
    if step.has_timers then
      unset_timers[#unset_timers + 1] = id
    end
  end
  if ends then
    finished[#finished + 1] = table.concat(ids, ',')
  end
  step.tasks, step.count = {}, step.count + #tasks
  tell_all(step.kind, facts)
end

local function settle_all()
  for _, step in ipairs(steps) do
    settle(step)
  end
end

-- Moves the task by the step that it has joined, because something else happens to it.
local function settle_task(task)
  settle(task.step)
  task.content = TIMES_WIDTH + #text_of(task.status) + 1
  task.step, task.times, task.added, task.report = nil, nil, nil, nil
end
