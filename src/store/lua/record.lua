-- record: reads and writes the records of tasks.
-- Needs  lists
--
-- A task's record is one string, so that one call reads or writes a whole batch. fields.rs lists
-- its fields, and makes the functions and positions that this part uses:
--
--   times    fields of a fixed width, which change with each task
--   status   words that many tasks of a batch share, so that each status is taken apart once
--   content  what belongs to this task alone: fields of a fixed width, then words
--   timeline a line for each transition
local find, sub = string.find, string.sub

-- The tasks of the call by id; those that it changes, in order; statuses by their text with the tab
-- behind it.
local known, changed, statuses

-- The place of this tab in the newest record. In most records of a batch it is the same.
local status_end = TIMES_WIDTH

local function begin_record()
  known, changed, statuses = {}, {}, {}
end

-- Returns the status of this text.
local function status_of(text)
  local status = cut_status(text)
  status.state = STATE_OF[status.state]
  status.sla, status.steps = tonumber(status.sla), {}
  return status
end

-- Returns the task with this record.
--
-- record   as it was read; a change of the content or the timeline replaces it
-- content  the place in it of the tab before the content
-- status   its status, which tasks share: edit() returns one to change
-- times    its times, if they differ from the record
-- added    the lines of the timeline that this call adds
-- step     the step that it has joined; see move.lua
-- report   the digest of the report that causes this step
local function parse(id, record)
  local text = sub(record, TIMES_WIDTH + 1, status_end)
  local status = statuses[text]
  if not status then
    status_end = find(record, '\t', TIMES_WIDTH, true)
    text = sub(record, TIMES_WIDTH + 1, status_end)
    status = statuses[text] or status_of(sub(record, TIMES_WIDTH + 1, status_end - 1))
    statuses[text] = status
  end
  return {
    id = id, record = record, content = status_end, status = status,
    times = nil, added = nil, step = nil, report = nil,
  }
end

-- Returns a status that has what the given one has, until it is changed.
local function derive(status)
  return setmetatable({ steps = {}, proof = false, owner = false, owning = false },
    { __index = status })
end

-- Returns the status of the task for changes, which no other task shares.
local function edit(task)
  local status = task.status
  if status.owner ~= task then
    status = derive(status)
    status.owner, task.status = task, status
  end
  status.text, status.steps, status.proof, status.owning = false, {}, false, false
  return status
end

local function since(task)
  return sub(task.times or task.record, SINCE, SINCE_END)
end

local function timer_in(task)
  return sub(task.times or task.record, TIMER, TIMER_END)
end

local function rank(task)
  return sub(task.times or task.record, RANK, RANK_END)
end

-- Changes the times of a task; nil keeps one.
local function set_times(task, new_since, new_timer, new_rank)
  task.times =
    (new_since or since(task)) .. (new_timer or timer_in(task)) .. (new_rank or rank(task))
end

-- Returns the text of a status that may have changed.
local function text_of(status)
  status.text = status.text or join_status(status)
  return status.text
end

-- Returns the record of a changed task.
local function pack(task)
  local record = task.record
  local times = task.times or sub(record, 1, TIMES_WIDTH)
  return times .. text_of(task.status) .. sub(record, task.content) .. (task.added or '')
end

-- Returns the tasks of these ids, in order; `false` for each missing one. The same id
-- gives the same table, so that a call that names a task twice moves it once.
local function fetch(ids)
  local tasks = read_fields(P .. 'records', ids)
  for nth = 1, #tasks do
    local record, id = tasks[nth], ids[nth]
    if record then
      local task = known[id]
      if not task then
        task = parse(id, record)
        known[id] = task
      end
      tasks[nth] = task
    end
  end
  return tasks
end

-- Returns the task, or nil if there is none.
local function load(id)
  return known[id] or fetch({ id })[1] or nil
end
