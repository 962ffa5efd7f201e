-- ranks: the places of tasks in queues, and who may reopen what has ended.
-- Needs  move

-- Returns the head start of each priority, ms, from those of P0 to P3 joined by commas.
local function head_starts(texts)
  local starts, nth = {}, 0
  for text in string.gmatch(texts, '%d+') do
    starts['P' .. nth], nth = text, nth + 1
  end
  return starts
end

-- Returns a place as a record has it.
local function rank_text(ms)
  return string.format(RANK_FORMAT, math.max(ms, 0))
end

-- Records the rank of the role that ended the task, if it is a human's: only a human of the same or
-- a higher rank reopens it.
local function note_end(task, role)
  if STATES[task.status.state].is_final and tonumber(role) >= HUMAN then
    edit(task).ended = TEXT[tonumber(role)]
  end
end

-- Returns the state in which a task that needs no human waits.
local function waiting_state(status)
  return status.due ~= '-' and tonumber(status.due) > NOW and 'scheduled' or 'pending'
end
